//! The files that reflection knows: what each is called, declares and imports.

use std::collections::HashMap;

use bytes::Bytes;
use prost::{DecodeError, Message};
use prost_types::FileDescriptorProto;

use super::symbols::Symbols;

/// The `.proto` files of a server's services, for [reflection](crate::ServerBuilder::reflection): encoded
/// `google.protobuf.FileDescriptorSet`s, as `highball-codegen` makes them and `protoc --include_imports
/// --descriptor_set_out` does. Comments in them are passed on.
///
/// A file or a name that is in several sets is taken from the first.
#[derive(Debug, Default)]
pub struct Descriptors {
    files: Vec<File>,
    by_name: HashMap<String, usize>,
    symbols: Symbols,
}

#[derive(Debug)]
struct File {
    /// As it was in its set, with whatever options there are that nobody here knows.
    encoded: Bytes,
    imports: Vec<usize>,
}

/// A `FileDescriptorSet` whose files are left as they are.
#[derive(Clone, PartialEq, Message)]
struct EncodedFiles {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

/// Why descriptors cannot be served.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadDescriptors {
    /// They are no encoded `FileDescriptorSet`.
    #[error("not an encoded FileDescriptorSet: {0}")]
    Undecodable(#[from] DecodeError),
    /// A file needs another one, and that is in no set.
    #[error("{file:?} imports {import:?}, which is missing: pass --include_imports to protoc")]
    MissingImport {
        /// The name of the file.
        file: String,
        /// The name of the one that it imports.
        import: String,
    },
}

impl Descriptors {
    /// Reads descriptor sets.
    ///
    /// # Errors
    ///
    /// See [`BadDescriptors`].
    pub fn decode<S: Into<Bytes>>(
        sets: impl IntoIterator<Item = S>,
    ) -> Result<Self, BadDescriptors> {
        let mut descriptors = Self::default();
        for set in sets {
            descriptors.add(set.into())?;
        }
        Ok(descriptors)
    }

    pub(super) fn add(&mut self, set: Bytes) -> Result<(), BadDescriptors> {
        let mut added = Vec::new();
        for encoded in EncodedFiles::decode(set)?.file {
            let file = FileDescriptorProto::decode(encoded.clone())?;
            if self.by_name.contains_key(file.name()) {
                continue;
            }
            let number = self.files.len();
            self.by_name.insert(file.name().to_owned(), number);
            self.symbols.add(&file, number);
            self.files.push(File {
                encoded,
                imports: Vec::new(),
            });
            added.push((number, file));
        }
        // In a set, a file may come before those that it imports.
        for (number, file) in added {
            self.files[number].imports = self.find_imports(&file)?;
        }
        Ok(())
    }

    fn find_imports(&self, file: &FileDescriptorProto) -> Result<Vec<usize>, BadDescriptors> {
        let find = |import: &String| {
            self.named(import)
                .ok_or_else(|| BadDescriptors::MissingImport {
                    file: file.name().to_owned(),
                    import: import.clone(),
                })
        };
        file.dependency.iter().map(find).collect()
    }

    /// The file of this name. Like all that find a file, it gives a number for the methods below.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The file that declares something of this full name.
    pub(super) fn declaring(&self, symbol: &str) -> Option<usize> {
        self.symbols.declaring(symbol)
    }

    /// The file that declares the extension of `message` with this number.
    pub(super) fn extending(&self, message: &str, number: i32) -> Option<usize> {
        self.symbols.extending(message, number)
    }

    /// The numbers of all extensions of `message`, in order; `None` if there is no such message.
    pub(super) fn extensions_of(&self, message: &str) -> Option<Vec<i32>> {
        self.symbols.extensions_of(message)
    }

    /// An encoded `FileDescriptorProto`.
    pub(super) fn encoded(&self, file: usize) -> &Bytes {
        &self.files[file].encoded
    }

    pub(super) fn imports(&self, file: usize) -> &[usize] {
        &self.files[file].imports
    }
}

#[cfg(test)]
mod tests {
    use prost_types::FileDescriptorSet;

    use super::*;

    fn set(files: &[(&str, &[&str])]) -> Vec<u8> {
        let file = |(name, imports): &(&str, &[&str])| FileDescriptorProto {
            name: Some((*name).to_owned()),
            dependency: imports.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        let file = files.iter().map(file).collect();
        FileDescriptorSet { file }.encode_to_vec()
    }

    #[test]
    fn imports_are_found_whatever_their_order_and_in_earlier_sets() {
        let sets = [
            set(&[("a", &["b"]), ("b", &[])]),
            set(&[("c", &["a", "b"])]),
        ];
        let descriptors = Descriptors::decode(sets).unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| descriptors.named(name).unwrap());
        assert_eq!(descriptors.imports(a), [b]);
        assert_eq!(descriptors.imports(c), [a, b]);
        assert_eq!(descriptors.named("d"), None);
    }

    #[test]
    fn a_file_is_taken_from_the_first_set_that_has_it() {
        let sets = [set(&[("a", &[])]), set(&[("b", &[]), ("a", &["b"])])];
        let descriptors = Descriptors::decode(sets).unwrap();
        let a = descriptors.named("a").unwrap();
        assert_eq!(descriptors.imports(a), [0; 0]);
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        let error = Descriptors::decode([set(&[("a", &["b"])])]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"a\" imports \"b\", which is missing: pass --include_imports to protoc"
        );
        let error = Descriptors::decode([&b"\x0a\x05oops"[..]]).unwrap_err();
        assert!(matches!(error, BadDescriptors::Undecodable(_)), "{error}");
    }
}
