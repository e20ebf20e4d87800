//! The client of a service: a struct around a channel with one method for each of the service's.

use prost_build::{Method, Service};

use crate::service::{Kind, Types, docs, full_name, module_name, path};

/// `mod echo_client { … }`.
pub(crate) fn module(service: &Service, crate_path: &str) -> String {
    let module = module_name(service, "client");
    let full_name = full_name(service);
    let name = &service.name;
    let about = [
        format!("Calls `{full_name}` through a channel."),
        String::new(),
        "Cheap to clone: all clones share the channel. Calls may run concurrently; one that does"
            .to_owned(),
        "not succeed returns its status, and one that is dropped is cancelled.".to_owned(),
    ];
    let docs = docs(&service.comments, &about.each_ref().map(String::as_str));
    let constants: String = service
        .methods
        .iter()
        .map(|method| constant(service, method))
        .collect();
    let types = Types::of(service);
    let imports = types.imports(&service.methods);
    let methods = service.methods.iter().map(|method| call(method, &types));
    let methods: String = methods.collect();
    format!(
        "/// The client of `{full_name}`.
        pub mod {module} {{
            use {crate_path} as grpc;
            {imports}
            {constants}

            {docs}
            #[derive(Clone, Debug)]
            pub struct {name}Client {{
                channel: grpc::Channel,
            }}

            impl {name}Client {{
                /// A client whose calls go through `channel`.
                pub fn new(channel: grpc::Channel) -> Self {{
                    Self {{ channel }}
                }}

                {methods}
            }}
        }}\n"
    )
}

fn constant(service: &Service, method: &Method) -> String {
    let name = constant_name(method);
    let path = path(service, method);
    format!("static {name}: grpc::Method = grpc::Method::new({path:?});\n")
}

fn constant_name(method: &Method) -> String {
    method.name.trim_start_matches("r#").to_uppercase()
}

/// The method's name, unless the client has a function of that name already.
fn rust_name(method: &Method) -> &str {
    match method.name.as_str() {
        "new" => "new_",
        name => name,
    }
}

fn call(method: &Method, types: &Types) -> String {
    let kind = Kind::of(method);
    let response = types.name(&method.output_type);
    let response = match kind {
        Kind::Unary | Kind::ClientStreaming => format!("grpc::Response<{response}>"),
        Kind::ServerStreaming | Kind::Bidi => format!("grpc::Streaming<{response}>"),
    };
    let input = RequestParameter::of(kind, &types.name(&method.input_type));
    let docs = docs(&method.comments, &[kind.description()]);
    let deprecated = match method.options.deprecated() {
        true => "#[deprecated]\n",
        false => "",
    };
    let (name, function, constant) = (rust_name(method), kind.function(), constant_name(method));
    let RequestParameter {
        generics,
        its_type,
        bounds,
        conversion,
    } = input;
    format!(
        "{docs}{deprecated}pub async fn {name}{generics}(
            &self,
            request: {its_type},
        ) -> Result<{response}, grpc::Status> {bounds} {{
            self.channel.{function}(&{constant}, request{conversion}).await
        }}\n"
    )
}

/// How a method takes its request.
struct RequestParameter {
    generics: &'static str,
    its_type: String,
    bounds: String,
    conversion: &'static str,
}

impl RequestParameter {
    fn of(kind: Kind, message: &str) -> Self {
        match kind {
            Kind::Unary | Kind::ServerStreaming => Self {
                generics: "",
                its_type: format!("impl Into<grpc::Request<{message}>>"),
                bounds: String::new(),
                conversion: ".into()",
            },
            // The type of the stream has to be inferred, which `impl Into<Request<S>>` would prevent.
            Kind::ClientStreaming | Kind::Bidi => Self {
                generics: "<S>",
                its_type: "grpc::Request<S>".to_owned(),
                bounds: format!("where S: grpc::Stream<Item = {message}> + Send + 'static"),
                conversion: "",
            },
        }
    }
}
