//! Who speaks, and whose turns are trained.

use crate::{Error, Result};

/// Who speaks in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What the model is told beforehand.
    System,
    /// Who asks.
    User,
    /// The model.
    Assistant,
    /// What a call gave.
    Tool,
}

impl Role {
    /// All of them, in the order of the schema.
    pub const ALL: [Self; 4] = [Self::System, Self::User, Self::Assistant, Self::Tool];

    /// Returns the word of the schema.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    /// Returns the role of a word.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// The roles whose turns are trained where a message does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles([bool; 4]);

impl Roles {
    /// Returns the table in which these roles are trained and no others.
    ///
    /// # Errors
    /// [`Error::Argument`] for a word that is no role.
    pub fn trained<S: AsRef<str>>(names: &[S]) -> Result<Self> {
        let mut table = [false; 4];
        for name in names {
            let role = Role::named(name.as_ref()).ok_or_else(|| {
                let known = Role::ALL.map(Role::name).join(", ");
                Error::Argument(format!(
                    "expected roles among {known} to train, got {:?}",
                    name.as_ref()
                ))
            })?;
            table[role as usize] = true;
        }
        Ok(Self(table))
    }

    /// Returns whether a turn is trained, given what its message says.
    #[must_use]
    pub fn trains(self, role: Role, loss: Option<bool>) -> bool {
        loss.unwrap_or(self.0[role as usize])
    }
}
