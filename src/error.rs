//! What can go wrong before there is a verdict, and its exit code.

use crate::domain::{Problem, Problems};
use crate::exit;
use crate::store::StoreError;

/// Why a command did not do its work.
#[derive(Debug)]
pub enum Error {
    /// Something the user wrote or set up is not usable; nothing was sent.
    Invalid(Problems),
    /// No case is selected.
    Nothing(Problem),
    /// The store failed after something was sent.
    StoreFailed(Problem),
    /// Too little came of what was sent to say anything.
    TooLittle(Problem),
}

impl Error {
    /// The contracted exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Invalid(_) => exit::INVALID,
            Error::Nothing(_) => exit::NOTHING,
            Error::StoreFailed(_) | Error::TooLittle(_) => exit::INCONCLUSIVE,
        }
    }

    /// The mistakes, in order.
    pub fn problems(&self) -> Problems {
        match self {
            Error::Invalid(problems) => problems.clone(),
            Error::Nothing(problem) | Error::StoreFailed(problem) | Error::TooLittle(problem) => problem.clone().into(),
        }
    }
}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Error {
        Error::Invalid(problems)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Error {
        Error::Invalid(problem.into())
    }
}

impl From<StoreError> for Error {
    /// A store that is not usable before anything was sent.
    fn from(error: StoreError) -> Error {
        let problem = Problem::new(error.message());
        Error::from(match error.hint() {
            Some(hint) => problem.hint(hint),
            None => problem,
        })
    }
}
