//! The providers there are: one line each.

use super::definition::ProviderDef;
use super::{gemini, openai, recorded, simulator, vertex};

macro_rules! providers {
    ($($kind:ident => $definition:path,)*) => {
        /// What answers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum TargetKind {
            $($kind,)*
        }

        impl TargetKind {
            /// All of them, in the order in which help and messages list them.
            pub const ALL: &[TargetKind] = &[$(TargetKind::$kind,)*];

            /// What there is to know about it.
            pub fn def(self) -> &'static ProviderDef {
                match self {
                    $(TargetKind::$kind => &$definition,)*
                }
            }
        }
    };
}

providers! {
    Gemini => gemini::PROVIDER,
    Vertex => vertex::PROVIDER,
    OpenAi => openai::PROVIDER,
    Sim => simulator::PROVIDER,
    Recorded => recorded::PROVIDER,
}

impl TargetKind {
    /// Its name in settings and reports.
    pub fn as_str(self) -> &'static str {
        self.def().name
    }
}
