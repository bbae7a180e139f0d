//! Conversations as spans: chat templates by name, and the door for those of others.
//!
//! A template names its control tokens, and they become ids by name; what a record says is text
//! whatever it spells, and how often it spells a token is counted. Which spans are trained is decided
//! while they are written, by the role of their turn and what the message says (`loss`): headers are
//! not, the token that ends a turn is trained with it. What a template cannot express is refused in
//! one word ([`Refusal`]), never left out. `docs/chat_templates.md` states each template.

pub mod conversation;
mod date;
mod llama3_1;
mod mistral_v3;
pub mod python_json;
mod qwen2_5;
mod refusal;
mod roles;
mod writer;

use std::borrow::Cow;

pub use conversation::Conversation;
pub use refusal::Refusal;
pub use roles::{Role, Roles};
pub use writer::{Rendering, Vocabulary};

use crate::input::conversation_fields::ConversationFields;
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// What became of a record.
pub type Rendered<'a> = std::result::Result<Rendering<'a>, Refusal>;

/// Renders records; one is shared by all workers.
pub trait Render: std::fmt::Debug + Send + Sync {
    /// Renders records of a batch, each on its own: the results in their order.
    ///
    /// # Errors
    /// What ends the run: a record that has no rendering is none.
    fn render<'a>(&self, records: &[ConversationFields<'a>]) -> Result<Vec<Rendered<'a>>>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Llama3_1,
    MistralV3,
    Qwen2_5,
    Hermes,
}

/// The names of the templates.
pub const NAMES: [&str; 4] = ["llama3_1", "mistral_v3", "qwen2_5", "hermes"];

/// A template by name, for one tokenizer and one table of roles.
#[derive(Debug)]
pub struct Template {
    name: Name,
    vocabulary: Vocabulary,
    roles: Roles,
}

impl Template {
    /// Looks a template up and its tokens.
    ///
    /// # Errors
    /// [`Error::Argument`] for a name that is none, and for a tokenizer without its control tokens.
    pub fn new(name: &str, tokenizer: &Tokenizer, roles: Roles) -> Result<Self> {
        let all = [Name::Llama3_1, Name::MistralV3, Name::Qwen2_5, Name::Hermes];
        let found = NAMES.iter().position(|known| *known == name).map(|at| all[at]);
        let found = found.ok_or_else(|| {
            let known = NAMES.join(", ");
            Error::Argument(format!("expected a chat template among {known}, got {name:?}"))
        })?;
        let (controls, tags): (&[_], &[_]) = match found {
            Name::Llama3_1 => (&llama3_1::CONTROLS, &[]),
            Name::MistralV3 => (&mistral_v3::CONTROLS, &[]),
            Name::Qwen2_5 | Name::Hermes => (&qwen2_5::CONTROLS, &qwen2_5::TAGS),
        };
        let vocabulary = Vocabulary::new(tokenizer, name, controls, tags)?;
        Ok(Self { name: found, vocabulary, roles })
    }

    /// Renders one record.
    ///
    /// # Errors
    /// What the template cannot express, or what is wrong with the record.
    pub fn render_one<'a>(&self, fields: &ConversationFields<'a>) -> Rendered<'a> {
        let conversation = Conversation::read(fields, self.roles)?;
        match self.name {
            Name::Llama3_1 => llama3_1::render(conversation, &self.vocabulary),
            Name::MistralV3 => mistral_v3::render(conversation, &self.vocabulary),
            Name::Qwen2_5 => qwen2_5::render(conversation, &self.vocabulary, true),
            Name::Hermes => qwen2_5::render(conversation, &self.vocabulary, false),
        }
    }
}

impl Render for Template {
    fn render<'a>(&self, records: &[ConversationFields<'a>]) -> Result<Vec<Rendered<'a>>> {
        Ok(records.iter().map(|record| self.render_one(record)).collect())
    }
}

/// Returns a tool's name where templates write it between quotes as it is.
fn plain_name(name: Cow<'_, str>) -> std::result::Result<Cow<'_, str>, Refusal> {
    let is_plain = !name.contains(|c: char| c < ' ' || matches!(c, '"' | '\\'));
    is_plain.then_some(name).ok_or(Refusal::CallName)
}
