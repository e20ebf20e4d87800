//! The server of a service: a trait to implement, and a struct that takes calls to an implementation.

use prost_build::{Method, Service};

use crate::service::{Kind, Types, docs, full_name, module_name};

/// `mod echo_server { … }`.
pub(crate) fn module(service: &Service, crate_path: &str) -> String {
    let module = module_name(service, "server");
    let full_name = full_name(service);
    let types = Types::of(service);
    let imports = types.imports(&service.methods);
    let contract = contract(service, &types);
    let server = server(service);
    format!(
        "/// The server of `{full_name}`.
        pub mod {module} {{
            use std::future::Future;
            use std::sync::Arc;

            use {crate_path} as grpc;
            {imports}

            {contract}

            {server}
        }}\n"
    )
}

/// The trait.
fn contract(service: &Service, types: &Types) -> String {
    let name = &service.name;
    let about = format!("What a server of `{}` does.", full_name(service));
    let to_do = format!("Implement it with `async fn`s, and serve it through [`{name}Server`].");
    let otherwise = "A method that is not implemented ends its calls UNIMPLEMENTED.";
    let docs = docs(&service.comments, &[&about, "", &to_do, otherwise]);
    let methods = service
        .methods
        .iter()
        .map(|method| declaration(method, types));
    let methods: String = methods.collect();
    format!(
        "{docs}
        pub trait {name}: Send + Sync + 'static {{
            {methods}
        }}\n"
    )
}

fn declaration(method: &Method, types: &Types) -> String {
    let kind = Kind::of(method);
    let request = types.name(&method.input_type);
    let request = match kind {
        Kind::Unary | Kind::ServerStreaming => request,
        Kind::ClientStreaming | Kind::Bidi => format!("grpc::Streaming<{request}>"),
    };
    let response = types.name(&method.output_type);
    let response = match kind {
        Kind::Unary | Kind::ClientStreaming => response,
        Kind::ServerStreaming | Kind::Bidi => format!("grpc::ResponseStream<{response}>"),
    };
    let docs = docs(&method.comments, &[kind.description()]);
    let name = &method.name;
    let unimplemented = format!("method {} not implemented", method.proto_name);
    format!(
        "{docs}
        fn {name}(
            &self,
            _request: grpc::Request<{request}>,
        ) -> impl Future<Output = Result<grpc::Response<{response}>, grpc::Status>> + Send {{
            async {{ Err(grpc::Status::unimplemented({unimplemented:?})) }}
        }}\n"
    )
}

/// The struct, and how it finds the method of a call.
fn server(service: &Service) -> String {
    let name = &service.name;
    let full_name = full_name(service);
    let arms: String = service.methods.iter().map(arm).collect();
    format!(
        "/// Takes calls of `{full_name}` to an implementation of [`{name}`].
        #[derive(Debug)]
        pub struct {name}Server<T> {{
            service: Arc<T>,
        }}

        impl<T: {name}> {name}Server<T> {{
            /// A server of `service`.
            pub fn new(service: T) -> Self {{
                Self::from_shared(Arc::new(service))
            }}

            /// A server of a `service` that others hold as well.
            pub fn from_shared(service: Arc<T>) -> Self {{
                Self {{ service }}
            }}
        }}

        impl<T: {name}> grpc::Service for {name}Server<T> {{
            fn name(&self) -> &str {{
                {full_name:?}
            }}

            fn call(&self, method: &str, call: grpc::IncomingCall) {{
                let service = Arc::clone(&self.service);
                match method {{
                    {arms}
                    _ => grpc::unknown_method(call),
                }}
            }}
        }}

        impl<T> Clone for {name}Server<T> {{
            fn clone(&self) -> Self {{
                Self {{ service: Arc::clone(&self.service) }}
            }}
        }}\n"
    )
}

/// What is done with the calls of one method.
fn arm(method: &Method) -> String {
    let (proto_name, name) = (&method.proto_name, &method.name);
    let function = Kind::of(method).function();
    format!(
        "{proto_name:?} => grpc::{function}(call, async move |request| service.{name}(request).await),\n"
    )
}
