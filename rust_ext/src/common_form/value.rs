//! A value of JSON in memory: keys in their order, numbers as they are spelled.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::rc::Rc;

use super::{Made, Stop};

/// A string.
#[derive(Clone, Debug)]
pub(super) enum Text<'a> {
    /// One that JSON spells as it is: a piece of the record without escapes, or a word of ours.
    Clean(&'a str),
    /// Any other, and one that was put together.
    Made(Rc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Clean(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text<'_> {}

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        str::hash(self, state);
    }
}

impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::Made(text.into())
    }
}

impl From<&'static str> for Text<'_> {
    fn from(text: &'static str) -> Self {
        Self::Clean(text)
    }
}

/// A value; cloning one copies no more than a count.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    /// `null`, `true`, `false` or a number, spelled as it is written again.
    Plain(&'a str),
    Text(Text<'a>),
    List(Rc<Vec<Value<'a>>>),
    Object(Rc<Object<'a>>),
}

impl<'a> Value<'a> {
    pub(super) fn text(text: &'static str) -> Self {
        Self::Text(Text::Clean(text))
    }

    pub(super) fn made(text: String) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn of(object: Object<'a>) -> Self {
        Self::Object(Rc::new(object))
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn as_object(&self) -> Option<&Object<'a>> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    pub(super) fn as_list(&self) -> Option<&[Value<'a>]> {
        if let Self::List(values) = self { Some(values) } else { None }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Plain("null"))
    }

    pub(super) fn is_bool(&self) -> bool {
        matches!(self, Self::Plain("true" | "false"))
    }

    /// Whether Python takes it for true.
    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Self::Plain(spelled) => !matches!(*spelled, "null" | "false" | "0" | "0.0"),
            Self::Text(text) => !text.is_empty(),
            Self::List(values) => !values.is_empty(),
            Self::Object(object) => !object.0.is_empty(),
        }
    }

    /// Whether both are equal to Python, which takes 1 and 1.0 and `true` for one another: where
    /// that could matter, the record is not common.
    pub(super) fn equals(&self, other: &Self) -> Made<bool> {
        match (self, other) {
            (Self::Plain(one), Self::Plain(two)) => {
                if one == two || *one == "null" || *two == "null" {
                    Ok(one == two)
                } else {
                    Err(Stop::Uncommon)
                }
            }
            (Self::Text(one), Self::Text(two)) => Ok(**one == **two),
            (Self::List(one), Self::List(two)) => {
                let mut is_equal = one.len() == two.len();
                for (one, two) in one.iter().zip(two.iter()) {
                    is_equal = is_equal && one.equals(two)?;
                }
                Ok(is_equal)
            }
            (Self::Object(one), Self::Object(two)) => one.equals(two),
            _ => Ok(false),
        }
    }
}

/// An object; its keys differ.
#[derive(Clone, Debug, Default)]
pub(super) struct Object<'a>(pub(super) Vec<(Text<'a>, Value<'a>)>);

impl<'a> Object<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0.iter().find(|(key, _)| **key == *name).map(|(_, value)| value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns a value if it is a string.
    pub(super) fn str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Text<'a>, &Value<'a>)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends a key that is not there yet.
    pub(super) fn push(&mut self, key: impl Into<Text<'a>>, value: Value<'a>) {
        self.0.push((key.into(), value));
    }

    /// Sets a value; a key that is there keeps its place.
    pub(super) fn set(&mut self, key: impl Into<Text<'a>>, value: Value<'a>) {
        let key = key.into();
        match self.0.iter_mut().find(|(known, _)| **known == *key) {
            Some((_, held)) => *held = value,
            None => self.0.push((key, value)),
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| **key != *name);
    }

    /// Whether all keys are among these.
    pub(super) fn has_only(&self, names: &[&str]) -> bool {
        self.0.iter().all(|(key, _)| names.contains(&&**key))
    }

    fn equals(&self, other: &Self) -> Made<bool> {
        if self.len() != other.len() {
            return Ok(false);
        }
        for (key, value) in self.iter() {
            match other.get(key) {
                Some(held) if value.equals(held)? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}
