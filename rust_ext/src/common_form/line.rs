//! Finished records as lines, as `preprocess/records.py` writes them.

use super::render::{Call, Tool, object_of, push_calls};
use super::value::Object;
use super::write::{Layout, push_object, push_string};

/// Where a native record stands.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The dataset.
    pub name: &'a str,
    /// Its licence.
    pub license: &'a str,
    /// The file, relative to the input, as it stands in ids.
    pub path: &'a str,
    /// The ordinal of the native record in that file.
    pub ordinal: u64,
}

impl Source<'_> {
    /// Returns the id of a record that is a part of the native one, or all of it.
    pub(super) fn id(&self, part: &str) -> String {
        let Self { name, path, ordinal, .. } = self;
        let colon = if part.is_empty() { "" } else { ":" };
        format!("{name}/{path}{colon}{part}#{ordinal}")
    }
}

/// More room than this is given back.
const ROOM_KEPT: usize = 4 << 20;

/// The lines that a native record gave, each with its newline but the last.
#[derive(Debug, Default)]
pub struct Lines {
    pub(super) text: String,
    /// How many there are.
    pub records: usize,
    /// Bytes of the texts in them.
    pub text_bytes: usize,
}

/// One record.
pub(super) struct Record<'r, 'a> {
    pub(super) id: &'r str,
    pub(super) text: &'r str,
    pub(super) kind: &'static str,
    pub(super) url: Option<&'r str>,
    pub(super) tools: &'r [Tool<'a>],
    /// A request and the calls that answer it.
    pub(super) turns: Option<(&'r str, &'r [Call<'a>])>,
    pub(super) meta: &'r Object<'a>,
}

impl Lines {
    /// Forgets all lines, and keeps room for others unless it is a lot.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(ROOM_KEPT);
        self.records = 0;
        self.text_bytes = 0;
    }

    /// Returns the bytes of the lines.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Appends a record.
    pub(super) fn push(&mut self, source: Source<'_>, record: &Record<'_, '_>) {
        let to = &mut self.text;
        if self.records > 0 {
            to.push('\n');
        }
        self.records += 1;
        self.text_bytes += record.text.len();
        let fields = [
            ("{\"id\":", record.id),
            (",\"text\":", record.text),
            (",\"kind\":", record.kind),
            (",\"source\":", source.name),
            (",\"license\":", source.license),
            (",\"origin\":{\"path\":", source.path),
        ];
        for (key, value) in fields {
            to.push_str(key);
            push_string(value, to);
        }
        to.push_str(",\"record\":");
        to.push_str(&source.ordinal.to_string());
        if let Some(url) = record.url {
            to.push_str(",\"url\":");
            push_string(url, to);
        }
        to.push('}');
        push_tools(record.tools, to);
        if let Some((request, calls)) = record.turns {
            to.push_str(",\"messages\":[{\"role\":\"user\",\"content\":");
            push_string(request, to);
            to.push_str("},{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":");
            push_calls(calls, Layout::Compact, to);
            to.push_str("}]");
        }
        if !record.meta.is_empty() {
            to.push_str(",\"meta\":");
            push_object(record.meta, Layout::Compact, to);
        }
        to.push('}');
    }
}

fn push_tools(tools: &[Tool<'_>], to: &mut String) {
    for (number, tool) in tools.iter().enumerate() {
        to.push_str(if number > 0 { "," } else { ",\"tools\":[" });
        push_object(&object_of(tool), Layout::Compact, to);
    }
    to.push_str(if tools.is_empty() { "" } else { "]" });
}

/// Names in `meta` that are ours; where the source has one of them, the record is not common.
pub(super) const OURS: [&str; 4] = ["checks", "template", "benchmark", "source_fields"];
