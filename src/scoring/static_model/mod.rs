//! A static model of embeddings that lies in the project: a vector for each token, of which a text's vector is the mean, as
//! model2vec makes them (M. van Dongen, S. Tulkens, Model2Vec, 2024). Nothing is asked and nothing is downloaded.
//!
//! Needs the Cargo feature `local-embeddings`; without it there is no such model.

#[cfg(all(test, feature = "local-embeddings"))]
mod tests;
#[cfg(feature = "local-embeddings")]
mod vectors;

#[cfg(feature = "local-embeddings")]
pub use vectors::StaticModel;

#[cfg(not(feature = "local-embeddings"))]
pub use missing::StaticModel;

#[cfg(not(feature = "local-embeddings"))]
mod missing {
    use crate::domain::{Feature, Problem};
    use std::path::Path;

    /// A model that this binary can't read.
    #[derive(Debug)]
    pub enum StaticModel {}

    impl StaticModel {
        /// Says what is missing.
        ///
        /// # Errors
        /// Always.
        pub fn open(folder: &Path) -> Result<StaticModel, Problem> {
            let feature = Feature { name: "local-embeddings", enabled: false };
            let folder = folder.display();
            Err(Problem::new(format!("the static model {folder} {}", feature.missing())))
        }

        /// There is none.
        pub fn digest(&self) -> [u8; 32] {
            match *self {}
        }

        /// There is none.
        ///
        /// # Errors
        /// None.
        pub fn vector(&self, _: &str) -> Result<Vec<f32>, String> {
            match *self {}
        }
    }
}
