//! What a document documents: operations, schemas, itself.

use std::collections::HashSet;
use std::rc::Rc;

use super::pages::{METHODS, description_of, document_page, first_line, schema_page, title_of};
use super::references::References;
use super::requests::request_of;
use super::responses::push_responses;
use super::{Output, spelled, without_ours};
use crate::common_form::literal::is_blank;
use crate::common_form::render::{Tool, document_text};
use crate::common_form::value::{Object, Text, Value};
use crate::common_form::{Made, Stop};

/// Appends a record for each operation, each schema that no request takes, and the document.
pub(super) fn push_records(document: &Object<'_>, output: &mut Output<'_>) -> Made<()> {
    let mut walk = Walk {
        document,
        references: References::new(document),
        heading: title_of(document)?,
        url: match address(document)? {
            "" => host(document)?,
            url => url.to_owned(),
        },
        used: HashSet::new(),
        parts: HashSet::new(),
        listed: Vec::new(),
        rest: Object::default(),
        text: String::new(),
    };
    let paths = document.get("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flat_map(Object::iter) {
        walk.path(path, item, output)?;
    }
    walk.schemas(output);
    walk.document(output)
}

/// The way through a document.
struct Walk<'d, 'a> {
    document: &'d Object<'a>,
    references: References<'d, 'a>,
    heading: String,
    url: String,
    /// Names of the schemas that requests take.
    used: HashSet<Text<'a>>,
    /// Names of the parts so far.
    parts: HashSet<String>,
    listed: Vec<String>,
    /// What paths say beyond their operations.
    rest: Object<'a>,
    /// Room for the text of one record after the other.
    text: String,
}

impl<'d, 'a> Walk<'d, 'a> {
    fn path(&mut self, path: &Text<'a>, item: &'d Value<'a>, output: &mut Output<'_>) -> Made<()> {
        let resolved = self.references.resolve(item)?;
        let Some(operations) = resolved.as_object() else {
            self.rest.push(path.clone(), item.clone());
            return Ok(());
        };
        let others = others(operations, (!std::ptr::eq(resolved, item)).then_some(item));
        if !others.is_empty() {
            self.rest.push(path.clone(), Value::of(others));
        }
        for method in METHODS {
            if let Some(operation) = operations.get(method).and_then(Value::as_object) {
                self.operation(path, method, operations, operation, output)?;
            }
        }
        Ok(())
    }

    fn operation(
        &mut self,
        path: &Text<'a>,
        method: &'static str,
        operations: &'d Object<'a>,
        operation: &'d Object<'a>,
        output: &mut Output<'_>,
    ) -> Made<()> {
        let name = name_of(operation, method, path);
        let id = self.unique(&name, output);
        let request = request_of(operation, operations.get("parameters"), &mut self.references)?;
        self.used.extend(request.schemas);
        let description = description_of(operation);
        let upper = method.to_ascii_uppercase();
        let line = Some(first_line(&description)).filter(|line| !line.is_empty());
        self.listed.push(format!("{upper} {}: {}", &**path, line.unwrap_or(&name)));
        let own = [address(operation)?, address(operations)?, &self.url];
        let base = own.into_iter().find(|each| !each.is_empty()).unwrap_or_default();
        let address = format!("{base}{}", &**path);
        let mut meta = meta_of(path, method, operation, request.locations, request.rest)?;
        let tools = [Tool { name, description, parameters: request.schema }];
        self.text.clear();
        for part in [&self.heading, "\n", &upper, " ", &address, "\n\n"] {
            self.text.push_str(part);
        }
        meta.push("template", Value::text(document_text(&id, &tools, &mut self.text)?));
        push_responses(operation, &mut self.references, &mut self.text)?;
        let is_url = address.starts_with("http") && !address.contains('{');
        output.push(&id, &self.text, is_url.then_some(&address), &tools, &meta);
        Ok(())
    }

    fn schemas(&mut self, output: &mut Output<'_>) {
        for (name, schema) in self.references.schemas.into_iter().flat_map(Object::iter) {
            if self.used.contains(name) {
                continue;
            }
            let id = self.unique(&format!("schema {}", &**name), output);
            let text = schema_page(&self.heading, name, schema);
            let mut meta = Object::default();
            meta.push("schema", Value::Text(name.clone()));
            output.push(&id, &text, None, &[], &meta);
        }
    }

    fn document(mut self, output: &mut Output<'_>) -> Made<()> {
        let id = self.unique("document", output);
        let text = document_page(self.document, &self.heading, &self.url, &self.listed);
        let meta = without_ours(self.remaining())?;
        output.push(&id, &text, None, &[], &meta);
        Ok(())
    }

    /// Returns what stands in no page: all but paths, schemas, and what the page shows.
    fn remaining(self) -> Object<'a> {
        let schemas = self.references.schemas;
        let is_schemas = |value: &Value<'a>| match (value.as_object(), schemas) {
            (Some(object), Some(schemas)) => std::ptr::eq(object, schemas),
            _ => false,
        };
        let mut meta = Object::default();
        let mut components = None;
        for (key, value) in self.document.iter() {
            match (&**key, value) {
                ("paths", Value::Object(_)) => {}
                ("components", Value::Object(found)) => components = Some(found),
                _ if is_schemas(value) => {}
                _ => meta.push(key.clone(), value.clone()),
            }
        }
        if let Some(components) = components {
            let mut others = Object::clone(components);
            others.0.retain(|(_, value)| !is_schemas(value));
            if !others.is_empty() {
                meta.push("components", Value::Object(Rc::new(others)));
            }
        }
        if !self.rest.is_empty() {
            meta.set("paths", Value::of(self.rest));
        }
        meta
    }

    /// Returns the id of a part; its name is one that no other part of the document has.
    fn unique(&mut self, name: &str, output: &Output<'_>) -> String {
        let words: Vec<&str> = name.split(is_blank).filter(|word| !word.is_empty()).collect();
        let plain = words.join(" ");
        let mut part = plain.clone();
        let mut number = 2_u64;
        while self.parts.contains(&part) {
            part = format!("{plain} ({number})");
            number += 1;
        }
        let id = output.source.id(&part);
        self.parts.insert(part);
        id
    }
}

/// Returns what an operation's text and schema do not say.
fn meta_of<'a>(
    path: &Text<'a>,
    method: &'static str,
    operation: &Object<'a>,
    locations: Object<'a>,
    rest: Object<'a>,
) -> Made<Object<'a>> {
    let mut meta = Object::default();
    meta.push("method", Value::text(method));
    meta.push("path", Value::Text(path.clone()));
    if !locations.is_empty() {
        meta.push("locations", Value::of(locations));
    }
    for (key, value) in operation.iter().filter(|(key, value)| !is_shown(key, value)) {
        meta.set(key.clone(), value.clone());
    }
    for (key, value) in rest.0 {
        meta.set(key, value);
    }
    without_ours(meta)
}

/// Whether an operation's text and schema say a keyword of it.
fn is_shown(key: &str, value: &Value<'_>) -> bool {
    match key {
        "summary" | "description" | "requestBody" => true,
        "parameters" => value.as_list().is_some(),
        "responses" => value.as_object().is_some(),
        _ => false,
    }
}

/// Returns what a path says beyond its operations and their parameters; `given` is the reference
/// that led to it, if one did.
fn others<'a>(operations: &Object<'a>, given: Option<&Value<'a>>) -> Object<'a> {
    let is_operation =
        |key: &str, value: &Value<'a>| METHODS.contains(&key) && value.as_object().is_some();
    let has_operations = operations.iter().any(|(key, value)| is_operation(key, value));
    let mut made = Object::default();
    for (key, value) in operations.iter() {
        let are_shared = has_operations && **key == *"parameters" && value.as_list().is_some();
        if !are_shared && !is_operation(key, value) {
            made.push(key.clone(), value.clone());
        }
    }
    for (key, value) in given.and_then(Value::as_object).into_iter().flat_map(Object::iter) {
        if **key != *"$ref" {
            made.set(key.clone(), value.clone());
        }
    }
    made
}

fn name_of<'a>(operation: &Object<'a>, method: &str, path: &str) -> Text<'a> {
    match operation.get("operationId") {
        Some(Value::Text(name)) if !name.chars().all(is_blank) => name.clone(),
        _ => format!("{method} {path}").into(),
    }
}

/// Returns where a document, a path or an operation is served, if it says so itself.
fn address<'v>(part: &'v Object<'_>) -> Made<&'v str> {
    let servers = part.get("servers").and_then(Value::as_list).unwrap_or_default();
    match servers.first().and_then(Value::as_object).map(|server| server.get("url")) {
        Some(Some(url)) => Ok(url.as_str().ok_or(Stop::Uncommon)?.trim_end_matches('/')),
        _ => Ok(""),
    }
}

/// Returns where an API is served, as `OpenAPI` 2 says it.
fn host(document: &Object<'_>) -> Made<String> {
    let Some(host) = document.str("host") else {
        return Ok(String::new());
    };
    let schemes = document.get("schemes").and_then(Value::as_list).unwrap_or_default();
    let scheme = schemes.first().map_or(Ok("https"), spelled)?;
    let base = document.str("basePath").unwrap_or_default();
    Ok(format!("{scheme}://{host}{base}").trim_end_matches('/').to_owned())
}
