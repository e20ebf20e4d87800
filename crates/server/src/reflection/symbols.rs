//! Which file declares what: every name in it, as protobuf scopes them.
//!
//! ```text
//!   package p;                                p is no symbol: many files share it
//!   message M {                               p.M
//!     int32 f = 1;                            p.M.f
//!     oneof o { … }                           p.M.o
//!     enum E { V = 0; }                       p.M.E, and p.M.V: values are siblings of their enum
//!   }
//!   service S { rpc R(M) returns (M); }       p.S, p.S.R
//!   extend M { int32 x = 100; }               p.x, and 100 of p.M
//! ```

use std::collections::{BTreeMap, HashMap};

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    ServiceDescriptorProto,
};

/// The names and the extensions in all files. Files are numbers here.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    declared: HashMap<String, Declaration>,
    /// By the message that is extended, and the extension's number.
    extensions: HashMap<String, BTreeMap<i32, usize>>,
}

#[derive(Clone, Copy, Debug)]
struct Declaration {
    file: usize,
    is_message: bool,
}

impl Symbols {
    pub(super) fn declaring(&self, symbol: &str) -> Option<usize> {
        self.declared.get(symbol).map(|found| found.file)
    }

    pub(super) fn extending(&self, message: &str, number: i32) -> Option<usize> {
        self.extensions.get(message)?.get(&number).copied()
    }

    pub(super) fn extensions_of(&self, message: &str) -> Option<Vec<i32>> {
        if let Some(extensions) = self.extensions.get(message) {
            return Some(extensions.keys().copied().collect());
        }
        let found = self.declared.get(message)?;
        found.is_message.then(Vec::new)
    }

    /// Takes in all that a file declares.
    pub(super) fn add(&mut self, file: &FileDescriptorProto, number: usize) {
        let mut adding = Adding {
            symbols: self,
            file: number,
        };
        let scope = file.package();
        for message in &file.message_type {
            adding.message(message, scope);
        }
        for enumeration in &file.enum_type {
            adding.enumeration(enumeration, scope);
        }
        for extension in &file.extension {
            adding.extension(extension, scope);
        }
        for service in &file.service {
            adding.service(service, scope);
        }
    }
}

/// One file on its way in.
struct Adding<'a> {
    symbols: &'a mut Symbols,
    file: usize,
}

impl Adding<'_> {
    fn message(&mut self, message: &DescriptorProto, scope: &str) {
        let name = self.declare(scope, message.name(), true);
        for field in &message.field {
            self.declare(&name, field.name(), false);
        }
        for oneof in &message.oneof_decl {
            self.declare(&name, oneof.name(), false);
        }
        for nested in &message.nested_type {
            self.message(nested, &name);
        }
        for enumeration in &message.enum_type {
            self.enumeration(enumeration, &name);
        }
        for extension in &message.extension {
            self.extension(extension, &name);
        }
    }

    fn enumeration(&mut self, enumeration: &EnumDescriptorProto, scope: &str) {
        self.declare(scope, enumeration.name(), false);
        for value in &enumeration.value {
            self.declare(scope, value.name(), false);
        }
    }

    fn service(&mut self, service: &ServiceDescriptorProto, scope: &str) {
        let name = self.declare(scope, service.name(), false);
        for method in &service.method {
            self.declare(&name, method.name(), false);
        }
    }

    fn extension(&mut self, extension: &FieldDescriptorProto, scope: &str) {
        self.declare(scope, extension.name(), false);
        let extended = extension.extendee().trim_start_matches('.').to_owned();
        let numbers = self.symbols.extensions.entry(extended).or_default();
        numbers.entry(extension.number()).or_insert(self.file);
    }

    /// Gives back the full name. The first who declares it has it.
    fn declare(&mut self, scope: &str, name: &str, is_message: bool) -> String {
        let name = match scope {
            "" => name.to_owned(),
            scope => format!("{scope}.{name}"),
        };
        let file = self.file;
        let declaration = Declaration { file, is_message };
        let place = self.symbols.declared.entry(name.clone());
        place.or_insert(declaration);
        name
    }
}
