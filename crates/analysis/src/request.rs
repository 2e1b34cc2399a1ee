use meterbox_core::{Scope, Usd};
use meterbox_datasets::Dataset;
use meterbox_llm_codegen::Prefer;

/// The longest question that is read, in characters.
pub const MAX_QUESTION_CHARS: usize = 2_000;
/// The longest program that is run, in bytes.
pub const MAX_CODE_BYTES: usize = 256 * 1024;

/// One thing to find out.
#[derive(Debug, Clone)]
pub struct Request {
    /// The question, or the program to run instead.
    pub ask: Ask,
    /// The data to find it in.
    pub dataset: Dataset,
    /// Who asks, and whose budgets pay.
    pub principal: Principal,
    /// The most this may cost; the analyst's own cap holds as well.
    pub max_cost: Option<Usd>,
    /// Also draw the first chart as a PNG file.
    pub chart_png: bool,
    /// Who should write the program for a question.
    pub prefer: Prefer,
}

impl Request {
    /// This, as far as the analyst's own cap reaches, without a picture, whoever writes the program.
    pub fn new(ask: Ask, dataset: Dataset, principal: Principal) -> Self {
        Self {
            ask,
            dataset,
            principal,
            max_cost: None,
            chart_png: false,
            prefer: Prefer::default(),
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A question in plain language.
    Question(String),
    /// A program of the caller's own: same jail, same budget.
    Code(String),
}

impl Ask {
    /// Is it answered by means so cheap that a spent budget may still pay for it?
    pub(crate) fn is_cheap(&self) -> bool {
        matches!(self, Self::Question(_))
    }
}

/// Who asks, and the budgets that must all cover it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The person or service; results belong to it.
    pub user: Scope,
    /// Further scopes that pay, such as `team/ops` and `org/acme`.
    pub groups: Vec<Scope>,
}

impl Principal {
    /// A person without groups.
    pub fn user(user: Scope) -> Self {
        Self {
            user,
            groups: Vec::new(),
        }
    }

    /// Every scope whose budget must cover a request.
    pub fn scopes(&self) -> Vec<Scope> {
        std::iter::once(self.user.clone())
            .chain(self.groups.iter().cloned())
            .collect()
    }
}

/// Why a request was not begun. Nothing was held, charged or stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// There is no question.
    #[error("the question is empty; ask something like \"top 5 products by revenue\"")]
    EmptyQuestion,
    /// The question is too long.
    #[error("the question has {chars} characters; ask it in {MAX_QUESTION_CHARS} or fewer")]
    LongQuestion {
        /// How many characters it has.
        chars: usize,
    },
    /// There is no program.
    #[error("the program is empty; it should set `result`")]
    EmptyCode,
    /// The program is too long.
    #[error("the program has {bytes} bytes; {MAX_CODE_BYTES} is the limit")]
    LongCode {
        /// How many bytes it has.
        bytes: usize,
    },
    /// The program is not text.
    #[error("the program contains a NUL character; save it as plain UTF-8 text")]
    BinaryCode,
    /// The analyst is shutting down.
    #[error("the service is shutting down; try again in a moment")]
    ShuttingDown,
}

impl Ask {
    /// # Errors
    /// [`RequestError`] for what could not possibly be answered.
    pub(crate) fn check(&self) -> Result<(), RequestError> {
        match self {
            Self::Question(question) if question.trim().is_empty() => Err(RequestError::EmptyQuestion),
            Self::Question(question) => {
                let chars = question.chars().count();
                if chars > MAX_QUESTION_CHARS {
                    return Err(RequestError::LongQuestion { chars });
                }
                Ok(())
            }
            Self::Code(code) if code.trim().is_empty() => Err(RequestError::EmptyCode),
            Self::Code(code) if code.len() > MAX_CODE_BYTES => {
                Err(RequestError::LongCode { bytes: code.len() })
            }
            Self::Code(code) if code.contains('\0') => Err(RequestError::BinaryCode),
            Self::Code(_) => Ok(()),
        }
    }
}
