//! The text of a record: templates chosen by a hash of its id, as `preprocess/render` has them.
//!
//! Which templates there are, and what they look like, is said there and in `docs/rendering.md`;
//! these are the same ones for records of the commonest form.

mod calls;
mod documentation;
mod request;
mod schema_parts;
mod signature;
mod templates;

pub(super) use documentation::object_of;
pub(super) use templates::{document_text, request_text};

pub(super) use calls::push_list as push_calls;

use std::rc::Rc;

use super::value::{Object, Text, Value};

/// A function that can be called.
#[derive(Debug)]
pub(super) struct Tool<'a> {
    pub(super) name: Text<'a>,
    pub(super) description: Text<'a>,
    /// JSON Schema of the arguments.
    pub(super) parameters: Rc<Object<'a>>,
}

/// A call of a tool; its id goes without saying.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) name: Text<'a>,
    pub(super) arguments: Value<'a>,
}
