//! What an operation takes, as one JSON Schema: parameters of any place, and the body.

use std::collections::HashMap;
use std::rc::Rc;

use super::references::References;
use crate::common_form::value::{Object, Text, Value};
use crate::common_form::{Made, Stop};

/// Keywords of a parameter that its schema has no place for.
const OWN: [&str; 6] = ["name", "in", "required", "schema", "description", "content"];

/// The arguments of an operation.
pub(super) struct Request<'a> {
    pub(super) schema: Rc<Object<'a>>,
    /// Argument -> path, query, header, cookie, formData or body.
    pub(super) locations: Object<'a>,
    /// Names of the document's schemas that it takes.
    pub(super) schemas: Vec<Text<'a>>,
    /// What has no place in the schema: bodies of other types, parameters that say more.
    pub(super) rest: Object<'a>,
}

#[derive(Default)]
struct Arguments<'a> {
    properties: Object<'a>,
    required: Vec<Value<'a>>,
    locations: Object<'a>,
    rest: Object<'a>,
}

/// Returns what an operation takes; its own parameters win over those its path shares.
pub(super) fn request_of<'d, 'a>(
    operation: &'d Object<'a>,
    shared: Option<&'d Value<'a>>,
    references: &mut References<'d, 'a>,
) -> Made<Request<'a>> {
    let mut made = Arguments::default();
    let mut kept = Vec::new();
    for parameter in parameters(shared, operation.get("parameters"), references, &mut kept)? {
        made.add_parameter(parameter, &mut kept)?;
    }
    let given = operation.get("requestBody");
    let body = given.map(|given| references.resolve(given)).transpose()?;
    match body {
        Some(Value::Object(body)) => made.add_body(body)?,
        Some(other) if !other.is_null() => made.rest.set("requestBody", other.clone()),
        _ => {}
    }
    if let (Some(given @ Value::Object(object)), Some(body)) = (given, body)
        && !std::ptr::eq(given, body)
        && object.len() > 1
    {
        made.rest.set("requestBodyReference", given.clone());
    }
    if !kept.is_empty() {
        made.rest.set("parameters", Value::List(Rc::new(kept)));
    }
    let (schema, schemas) = references.standing_alone(&made.properties, made.required);
    Ok(Request { schema: Rc::new(schema), locations: made.locations, schemas, rest: made.rest })
}

/// Returns the parameters that count; `kept` gains the others, and references that say more.
fn parameters<'d, 'a>(
    shared: Option<&'d Value<'a>>,
    own: Option<&'d Value<'a>>,
    references: &mut References<'d, 'a>,
    kept: &mut Vec<Value<'a>>,
) -> Made<Vec<&'d Object<'a>>> {
    let mut found: Vec<&'d Object<'a>> = Vec::new();
    let mut places: HashMap<(&'d str, &'d str), usize> = HashMap::new();
    for each in [shared, own].into_iter().flatten().filter_map(Value::as_list).flatten() {
        let resolved = references.resolve(each)?;
        let parameter = resolved.as_object();
        let Some((parameter, name)) = parameter.and_then(|one| Some((one, one.str("name")?)))
        else {
            kept.push(each.clone());
            continue;
        };
        if !std::ptr::eq(resolved, each) && each.as_object().is_some_and(|given| given.len() > 1) {
            kept.push(each.clone());
        }
        let place = match parameter.get("in") {
            Some(place) => place.as_str().ok_or(Stop::Uncommon)?,
            None => "None",
        };
        if let Some(&at) = places.get(&(place, name)) {
            kept.push(Value::of(found[at].clone()));
            found[at] = parameter;
        } else {
            places.insert((place, name), found.len());
            found.push(parameter);
        }
    }
    Ok(found)
}

impl<'a> Arguments<'a> {
    fn add_parameter(&mut self, parameter: &Object<'a>, kept: &mut Vec<Value<'a>>) -> Made<()> {
        let place = match parameter.get("in") {
            Some(Value::Text(place)) => place.clone(),
            _ => Text::Clean("query"),
        };
        let Some(Value::Text(name)) = parameter.get("name") else {
            return Err(Stop::Uncommon);
        };
        let mut name = name.clone();
        if self.properties.has(&name) {
            name = format!("{} ({})", &*name, &*place).into(); // the same name in another place
        }
        let property = property(parameter);
        if !is_whole(parameter, &property)? {
            kept.push(Value::of(parameter.clone()));
        }
        self.properties.set(name.clone(), Value::of(property));
        self.locations.set(name.clone(), Value::Text(place));
        if matches!(parameter.get("required"), Some(Value::Plain("true"))) {
            self.required.push(Value::Text(name));
        }
        Ok(())
    }

    fn add_body(&mut self, body: &Object<'a>) -> Made<()> {
        let empty = Object::default();
        let found = body.get("content").and_then(Value::as_object).unwrap_or(&empty);
        let kinds = || found.iter().filter_map(|(kind, each)| Some((kind, each.as_object()?)));
        let chosen = kinds().find(|(kind, _)| kind.contains("json")).or_else(|| kinds().next());
        let Some((kind, content)) = chosen else {
            self.rest.set("requestBody", Value::of(body.clone()));
            return Ok(());
        };
        let name = if self.properties.has("body") { "request body" } else { "body" };
        let schema = content.get("schema");
        let mut property = schema.and_then(Value::as_object).cloned().unwrap_or_default();
        let mut unsaid = content.clone();
        unsaid.remove("schema");
        if let Some(description) = body.get("description") {
            if let Some(said) = property.get("description")
                && !said.equals(description)?
            {
                let mut other = Object::default();
                other.push("description", said.clone());
                unsaid.set("schema", Value::of(other));
            }
            property.set("description", description.clone());
        }
        self.properties.set(name, Value::of(property));
        if let Some(schema) = schema.filter(|each| each.as_object().is_none() && !each.is_null()) {
            unsaid.set("schema", schema.clone());
        }
        self.locations.set(name, Value::made(format!("body, {}", &**kind)));
        let required = body.get("required");
        if matches!(required, Some(Value::Plain("true"))) {
            self.required.push(Value::text(name));
        }
        let mut kept = body.clone();
        kept.remove("content");
        kept.remove("description");
        if required.is_some_and(Value::is_bool) {
            kept.remove("required");
        }
        if !unsaid.is_empty() {
            kept.set(kind.clone(), Value::of(unsaid));
        }
        for (other, each) in found.iter().filter(|(other, _)| *other != kind) {
            kept.set(other.clone(), each.clone());
        }
        if !kept.is_empty() {
            self.rest.set("requestBody", Value::of(kept));
        }
        Ok(())
    }
}

/// Returns the schema of a parameter: `OpenAPI` 2 writes it beside the name, 3 below `schema`.
fn property<'a>(parameter: &Object<'a>) -> Object<'a> {
    let mut schema = parameter.get("schema").filter(|schema| !schema.is_null());
    if schema.is_none() {
        let kinds = parameter.get("content").and_then(Value::as_object);
        let mut kinds = kinds.into_iter().flat_map(Object::iter);
        let first = kinds.find_map(|(_, each)| each.as_object());
        schema = first.and_then(|each| each.get("schema"));
    }
    let mut made = schema.and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(description) = parameter.get("description") {
        made.set("description", description.clone());
    }
    for (key, value) in parameter.iter().filter(|(key, _)| !OWN.contains(&&***key)) {
        made.set(key.clone(), value.clone());
    }
    made
}

/// Whether the property that was made of a parameter says all that the parameter says.
fn is_whole(parameter: &Object<'_>, made: &Object<'_>) -> Made<bool> {
    let required = parameter.get("required");
    if parameter.has("content") || required.is_some_and(|required| !required.is_bool()) {
        return Ok(false);
    }
    let Some(schema) = parameter.get("schema") else {
        return Ok(true);
    };
    let Some(schema) = schema.as_object() else {
        return Ok(false);
    };
    for (key, value) in schema.iter() {
        if !made.get(key).map_or(Ok(false), |held| held.equals(value))? {
            return Ok(false);
        }
    }
    Ok(true)
}
