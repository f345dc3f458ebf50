//! What an import has to say about parts of a source.

use super::document::Node;
use diagnostics::Place;

/// Something in the source that the golden file does not say, or says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub place: Place,
    /// The way to it inside its file, like `tests[3].assert[0]`; may be empty.
    pub path: String,
    pub kind: FindingKind,
    /// What it is; may quote the source.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// It has no equivalent: the golden file does not say it.
    Lost,
    /// The golden file says it, but not in quite the same meaning; or it is no golden data.
    Note,
}

impl Finding {
    pub fn text(&self) -> String {
        let message = match self.kind {
            FindingKind::Lost => format!("no equivalent: {}", self.message),
            FindingKind::Note => self.message.clone(),
        };
        match self.path.as_str() {
            "" => message,
            path => format!("{path}: {message}"),
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    pub(crate) fn lose(&mut self, node: &Node, message: impl Into<String>) {
        self.add(node, FindingKind::Lost, message.into());
    }

    /// Something does not mean quite the same, or is worth knowing.
    pub(crate) fn note(&mut self, node: &Node, message: impl Into<String>) {
        self.add(node, FindingKind::Note, message.into());
    }

    fn add(&mut self, node: &Node, kind: FindingKind, message: String) {
        self.0.push(Finding { place: node.place(), path: node.path(), kind, message });
    }

    pub(crate) fn has_losses(&self) -> bool {
        self.0.iter().any(|finding| finding.kind == FindingKind::Lost)
    }
}
