//! A service of a `.proto` file, as the stubs see it.

use std::collections::BTreeSet;

use prost_build::{Comments, Method, Service, ServiceGenerator};

use crate::{client, server};

/// Which stubs to write, and which crates they name.
#[derive(Clone, Debug)]
pub(crate) struct Stubs {
    pub(crate) client: bool,
    pub(crate) server: bool,
    pub(crate) client_path: String,
    pub(crate) server_path: String,
}

impl Default for Stubs {
    fn default() -> Self {
        Self {
            client: true,
            server: true,
            client_path: "::highball_channel".to_owned(),
            server_path: "::highball_server".to_owned(),
        }
    }
}

impl ServiceGenerator for Stubs {
    fn generate(&mut self, service: Service, text: &mut String) {
        if self.client {
            text.push_str(&client::module(&service, &self.client_path));
        }
        if self.server {
            text.push_str(&server::module(&service, &self.server_path));
        }
    }
}

/// Whether each side sends one message or many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unary,
    ServerStreaming,
    ClientStreaming,
    Bidi,
}

impl Kind {
    pub(crate) fn of(method: &Method) -> Self {
        match (method.client_streaming, method.server_streaming) {
            (false, false) => Self::Unary,
            (false, true) => Self::ServerStreaming,
            (true, false) => Self::ClientStreaming,
            (true, true) => Self::Bidi,
        }
    }

    /// The function of the channel and of the server that handles calls of this kind.
    pub(crate) fn function(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::ServerStreaming => "server_streaming",
            Self::ClientStreaming => "client_streaming",
            Self::Bidi => "bidi_streaming",
        }
    }

    /// Who sends what, for the documentation.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Unary => "Unary: one request, one response.",
            Self::ServerStreaming => "Server streaming: one request, a stream of responses.",
            Self::ClientStreaming => "Client streaming: a stream of requests, one response.",
            Self::Bidi => "Bidirectional streaming: a stream of requests, a stream of responses.",
        }
    }
}

/// `grpc.examples.echo.Echo`.
pub(crate) fn full_name(service: &Service) -> String {
    match service.package.as_str() {
        "" => service.proto_name.clone(),
        package => format!("{package}.{}", service.proto_name),
    }
}

/// `/grpc.examples.echo.Echo/UnaryEcho`.
pub(crate) fn path(service: &Service, method: &Method) -> String {
    format!("/{}/{}", full_name(service), method.proto_name)
}

/// The name of the module for one end of a service: `echo_client`.
pub(crate) fn module_name(service: &Service, end: &str) -> String {
    let mut name = String::new();
    for c in service.name.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    format!("{name}_{end}")
}

/// Names that the stubs' own code means something by, besides those made from the service's name.
const TAKEN: [&str; 12] = [
    "Arc", "Clone", "Debug", "Err", "Future", "Into", "Ok", "Result", "Self", "Send", "Sync", "T",
];

/// How a module inside the package's names the types of requests and responses: by their own name, which
/// it imports, unless that would be ambiguous.
#[derive(Clone, Debug)]
pub(crate) struct Types {
    service: String,
}

impl Types {
    pub(crate) fn of(service: &Service) -> Self {
        Self {
            service: service.name.clone(),
        }
    }

    pub(crate) fn name(&self, rust_type: &str) -> String {
        if self.is_imported(rust_type) || rust_type == "()" {
            return rust_type.to_owned();
        }
        match rust_type.starts_with("::") || rust_type.starts_with("crate::") {
            true => rust_type.to_owned(),
            false => format!("super::{rust_type}"),
        }
    }

    /// `use super::{EchoRequest, EchoResponse};`
    pub(crate) fn imports(&self, methods: &[Method]) -> String {
        let used = methods
            .iter()
            .flat_map(|method| [&method.input_type, &method.output_type]);
        let names: BTreeSet<_> = used
            .filter(|rust_type| self.is_imported(rust_type))
            .map(String::as_str)
            .collect();
        match names.len() {
            0 => String::new(),
            _ => format!("use super::{{{}}};\n", Vec::from_iter(names).join(", ")),
        }
    }

    fn is_imported(&self, rust_type: &str) -> bool {
        let is_plain = rust_type.chars().all(|c| c.is_alphanumeric() || c == '_');
        let is_ours = rust_type
            .strip_prefix(&self.service)
            .is_some_and(|rest| ["", "Client", "Server"].contains(&rest));
        is_plain && !is_ours && !TAKEN.contains(&rust_type)
    }
}

/// The comments of the `.proto` file as doc comments, and the lines of `more` in a paragraph below.
pub(crate) fn docs(comments: &Comments, more: &[&str]) -> String {
    let mut text = String::new();
    let attached = Comments {
        leading_detached: Vec::new(),
        ..comments.clone()
    };
    attached.append_with_indent(0, &mut text);
    if !text.is_empty() {
        text.push_str("///\n");
    }
    for line in more {
        let space = if line.is_empty() { "" } else { " " };
        text.push_str(&format!("///{space}{line}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_go_by_their_own_name_where_that_is_clear() {
        let types = Types {
            service: "Echo".to_owned(),
        };
        for (given, expected) in [
            ("EchoRequest", "EchoRequest"),
            ("Echo", "super::Echo"),
            ("EchoClient", "super::EchoClient"),
            ("Result", "super::Result"),
            ("super::other::Line", "super::super::other::Line"),
            ("outer::Inner", "super::outer::Inner"),
            ("::prost_types::Any", "::prost_types::Any"),
            ("()", "()"),
        ] {
            assert_eq!(types.name(given), expected);
        }
    }

    #[test]
    fn comments_come_first_and_loose_ones_stay_away() {
        let comments = Comments {
            leading_detached: vec![vec![" A licence.".to_owned()]],
            leading: vec![" Watches a signal.".to_owned()],
            trailing: Vec::new(),
        };
        assert_eq!(
            docs(&comments, &["One.", "", "Two."]),
            "/// Watches a signal.\n///\n/// One.\n///\n/// Two.\n"
        );
        assert_eq!(docs(&Comments::default(), &["One."]), "/// One.\n");
    }
}
