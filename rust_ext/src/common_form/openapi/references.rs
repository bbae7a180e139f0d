//! References inside a document, and its schemas as JSON Schema that can stand alone.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::common_form::value::{Object, Text, Value};
use crate::common_form::{Made, Stop};

const PREFIXES: [&str; 2] = ["#/definitions/", "#/components/schemas/"];
const DEFINED: &str = "#/$defs/";

/// A tool's schema brings at most so many of the document's.
const MOST_DEFINITIONS: usize = 64;

/// Chains of references are short; circles end here.
const LONGEST_CHAIN: usize = 16;

/// Names of schemas in the order in which they were found, each once.
#[derive(Default)]
struct Names<'a> {
    order: Vec<Text<'a>>,
    seen: HashSet<Text<'a>>,
}

impl<'a> Names<'a> {
    fn insert(&mut self, name: &Text<'a>) {
        if !self.seen.contains(name) {
            self.seen.insert(name.clone());
            self.order.push(name.clone());
        }
    }
}

/// A schema whose references name `$defs`, and the names of those that it refers to itself.
struct Definition<'a> {
    schema: Value<'a>,
    direct: Rc<[Text<'a>]>,
}

/// A document's named parts.
pub(super) struct References<'d, 'a> {
    document: &'d Object<'a>,
    /// The object that holds the schemas, if there is one.
    pub(super) schemas: Option<&'d Object<'a>>,
    by_name: HashMap<&'d str, &'d Value<'a>>,
    definitions: HashMap<Text<'a>, Definition<'a>>,
    targets: HashMap<&'d str, Option<&'d Value<'a>>>,
}

impl<'d, 'a> References<'d, 'a> {
    pub(super) fn new(document: &'d Object<'a>) -> Self {
        let components = document.get("components").and_then(Value::as_object);
        let schemas = components.and_then(|each| each.get("schemas")).and_then(Value::as_object);
        let schemas = schemas.or_else(|| document.get("definitions").and_then(Value::as_object));
        let by_name =
            schemas.into_iter().flat_map(Object::iter).map(|(name, each)| (&**name, each));
        Self {
            document,
            schemas,
            by_name: by_name.collect(),
            definitions: HashMap::new(),
            targets: HashMap::new(),
        }
    }

    /// Returns what a reference names, the value itself where it is none or names nothing.
    pub(super) fn resolve(&mut self, mut value: &'d Value<'a>) -> Made<&'d Value<'a>> {
        for _ in 0..LONGEST_CHAIN {
            let Some(reference) = value.as_object().and_then(|each| each.str("$ref")) else {
                return Ok(value);
            };
            let target = if let Some(known) = self.targets.get(reference) {
                *known
            } else {
                let found = self.at(reference)?;
                self.targets.insert(reference, found);
                found
            };
            match target {
                Some(target) if !target.is_null() => value = target,
                _ => return Ok(value),
            }
        }
        Ok(value)
    }

    fn at(&self, reference: &str) -> Made<Option<&'d Value<'a>>> {
        let Some(path) = reference.strip_prefix("#/") else {
            return Ok(None);
        };
        let mut steps = path.split('/').map(unescaped);
        let Some(first) = steps.next() else {
            return Ok(None);
        };
        let mut node = match self.document.get(&first) {
            Some(node) => node,
            None if first.contains('%') => return Err(Stop::Uncommon),
            None => return Ok(None),
        };
        for name in steps {
            node = match node {
                Value::Object(object) => match object.get(&name) {
                    Some(inner) => inner,
                    None if name.contains('%') => return Err(Stop::Uncommon),
                    None => return Ok(None),
                },
                Value::List(_) => return Err(Stop::Uncommon), // by a number
                _ => return Ok(None),
            };
        }
        Ok(Some(node))
    }

    /// Makes the definition of a schema that the document has.
    fn define(&mut self, name: &Text<'a>) {
        if !self.definitions.contains_key(name) {
            let Some(schema) = self.by_name.get(&**name) else {
                return;
            };
            let mut named = Names::default();
            let schema = local(schema, &mut named).unwrap_or_else(|| (*schema).clone());
            self.definitions
                .insert(name.clone(), Definition { schema, direct: named.order.into() });
        }
    }

    /// Returns the names of all schemas that some need, those nearest to them first.
    fn needed(&mut self, named: &Names<'a>) -> Vec<Text<'a>> {
        let mut found = Names::default();
        let known = named.order.iter().filter(|name| self.by_name.contains_key(&***name));
        known.for_each(|name| found.insert(name));
        let mut at = 0;
        while let Some(name) = found.order.get(at).cloned() {
            self.define(&name);
            let direct = self.definitions.get(&name).map(|each| Rc::clone(&each.direct));
            for other in direct.iter().flat_map(|names| names.iter()) {
                if self.by_name.contains_key(&**other) {
                    found.insert(other);
                }
            }
            at += 1;
        }
        found.order
    }

    /// Returns an object's schema with all the definitions that it needs, and the names of those.
    pub(super) fn standing_alone(
        &mut self,
        properties: &Object<'a>,
        required: Vec<Value<'a>>,
    ) -> (Object<'a>, Vec<Text<'a>>) {
        let mut named = Names::default();
        let properties = each_local(properties, &mut named).unwrap_or_else(|| properties.clone());
        let mut made = Object::default();
        made.push("type", Value::text("object"));
        made.push("properties", Value::of(properties));
        made.push("required", Value::List(Rc::new(required)));
        if named.order.is_empty() {
            return (made, Vec::new());
        }
        let mut kept = self.needed(&named);
        kept.truncate(MOST_DEFINITIONS);
        let mut missing = named.seen;
        let mut definitions = Object::default();
        for name in &kept {
            if let Some(definition) = self.definitions.get(name) {
                definitions.push(name.clone(), definition.schema.clone());
                missing.extend(definition.direct.iter().cloned());
            }
        }
        missing.retain(|name| !kept.contains(name));
        if !definitions.is_empty() {
            made.push("$defs", Value::of(definitions));
        }
        let whole = if missing.is_empty() { None } else { object_without(&made, &missing) };
        (whole.unwrap_or(made), kept)
    }
}

/// Returns a schema whose references name `$defs`, and is JSON Schema; `None` if it is that.
fn local<'a>(schema: &Value<'a>, named: &mut Names<'a>) -> Option<Value<'a>> {
    match schema {
        Value::List(values) => {
            changed_list(values, |each| local(each, named)).map(|each| Value::List(Rc::new(each)))
        }
        Value::Object(object) => object_local(object, named).map(Value::of),
        _ => None,
    }
}

fn object_local<'a>(schema: &Object<'a>, named: &mut Names<'a>) -> Option<Object<'a>> {
    let mut made: Option<Object<'a>> = None;
    for (key, value) in schema.iter() {
        match (&**key, value) {
            ("enum" | "example" | "examples" | "default", Value::List(_) | Value::Object(_)) => {}
            ("properties" | "patternProperties" | "dependentSchemas", Value::Object(schemas)) => {
                if let Some(inner) = each_local(schemas, named) {
                    made.get_or_insert_with(|| schema.clone()).set(key.clone(), Value::of(inner));
                }
            }
            (_, Value::List(_) | Value::Object(_)) => {
                if let Some(inner) = local(value, named) {
                    made.get_or_insert_with(|| schema.clone()).set(key.clone(), inner);
                }
            }
            (word, _) => replace(word, value, schema, &mut made, named),
        }
    }
    made
}

/// Replaces a keyword whose value JSON Schema has otherwise; one that stays keeps its place.
fn replace<'a>(
    key: &str,
    value: &Value<'a>,
    schema: &Object<'a>,
    made: &mut Option<Object<'a>>,
    named: &mut Names<'a>,
) {
    match (key, value) {
        ("$ref", Value::Text(reference)) => {
            let Some(name) = name_of(reference) else { return };
            let escaped = name.replace('~', "~0").replace('/', "~1");
            named.insert(&name);
            let made = made.get_or_insert_with(|| schema.clone());
            made.set("$ref", Value::made(format!("{DEFINED}{escaped}")));
        }
        ("type", Value::Text(word)) if **word == *"file" => {
            let made = made.get_or_insert_with(|| schema.clone());
            made.set("type", Value::text("string"));
            made.set("format", Value::text("binary"));
        }
        ("required" | "exclusiveMinimum" | "exclusiveMaximum", value) if value.is_bool() => {
            let made = made.get_or_insert_with(|| schema.clone());
            made.remove(key);
            made.set(format!("x-{key}"), value.clone());
        }
        _ => {}
    }
}

/// Returns schemas by names, each made local; a property may be called `default` or `$ref`.
fn each_local<'a>(schemas: &Object<'a>, named: &mut Names<'a>) -> Option<Object<'a>> {
    changed_object(schemas, |each| local(each, named))
}

/// Returns a schema in which references to these names take any value and say which it was; `None`
/// if there are none of them.
fn without<'a>(schema: &Value<'a>, names: &HashSet<Text<'a>>) -> Option<Value<'a>> {
    match schema {
        Value::List(values) => {
            changed_list(values, |each| without(each, names)).map(|each| Value::List(Rc::new(each)))
        }
        Value::Object(object) => object_without(object, names).map(Value::of),
        _ => None,
    }
}

fn object_without<'a>(schema: &Object<'a>, names: &HashSet<Text<'a>>) -> Option<Object<'a>> {
    let reference = schema.str("$ref").and_then(|reference| reference.strip_prefix(DEFINED));
    let name = reference.map(unescaped).filter(|name| names.contains(&**name));
    let Some(name) = name else {
        return changed_object(schema, |each| without(each, names));
    };
    let mut made = Object::default();
    made.push("x-schema", Value::made(name));
    for (key, value) in schema.iter().filter(|(key, _)| ***key != *"$ref") {
        made.set(key.clone(), value.clone());
    }
    Some(made)
}

/// Returns a list with some elements changed, `None` if none is.
fn changed_list<'a>(
    values: &[Value<'a>],
    mut change: impl FnMut(&Value<'a>) -> Option<Value<'a>>,
) -> Option<Vec<Value<'a>>> {
    let mut made: Option<Vec<Value<'a>>> = None;
    for (number, each) in values.iter().enumerate() {
        if let Some(changed) = change(each) {
            made.get_or_insert_with(|| values.to_vec())[number] = changed;
        }
    }
    made
}

/// Returns an object with some values changed, `None` if none is.
fn changed_object<'a>(
    object: &Object<'a>,
    mut change: impl FnMut(&Value<'a>) -> Option<Value<'a>>,
) -> Option<Object<'a>> {
    let mut made: Option<Object<'a>> = None;
    for (number, (_, each)) in object.iter().enumerate() {
        if let Some(changed) = change(each) {
            made.get_or_insert_with(|| object.clone()).0[number].1 = changed;
        }
    }
    made
}

fn name_of<'a>(reference: &Text<'a>) -> Option<Text<'a>> {
    let start = PREFIXES.iter().find(|prefix| reference.starts_with(**prefix))?.len();
    match reference {
        Text::Clean(whole) if !whole.contains('~') => Some(Text::Clean(&whole[start..])),
        _ => Some(unescaped(&reference[start..]).into()),
    }
}

/// Returns a step of a pointer as it is meant.
fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}
