//! The entry: which files to compile, into what, and where it goes.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use prost_build::{Config, Module};
use prost_types::FileDescriptorSet;

use crate::service::Stubs;
use crate::{Error, comments, layout};

/// Generates Rust files from `.proto` files: one for each package.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// std::fs::write(folder.join("trains.proto"), r#"
///     syntax = "proto3";
///     package trains;
///     message Line { string name = 1; }
///     message Aspect { bool clear = 1; }
///     service Signal { rpc Watch(Line) returns (stream Aspect); }
/// "#)?;
///
/// let generated = highball_codegen::Builder::new().generate(&["trains.proto"], &[folder])?;
/// assert_eq!(generated[0].name, "trains.rs");
/// assert!(generated[0].text.contains("pub struct SignalClient"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    out_dir: Option<PathBuf>,
    stubs: Stubs,
    extern_paths: Vec<(String, String)>,
    type_names: bool,
    descriptor_set: Option<String>,
}

/// A generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The package and `.rs`: `grpc.examples.echo.rs`. Files without a package go to `_.rs`.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// Generates clients and servers, into `OUT_DIR`.
    pub fn new() -> Self {
        Self {
            out_dir: None,
            stubs: Stubs::default(),
            extern_paths: Vec::new(),
            type_names: false,
            descriptor_set: None,
        }
    }

    /// Where [`compile`](Self::compile) writes to, instead of `OUT_DIR`.
    #[must_use]
    pub fn out_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(folder.into());
        self
    }

    /// Whether to generate clients. They are, unless this says otherwise.
    #[must_use]
    pub fn client(mut self, wanted: bool) -> Self {
        self.stubs.client = wanted;
        self
    }

    /// Whether to generate servers. They are, unless this says otherwise.
    #[must_use]
    pub fn server(mut self, wanted: bool) -> Self {
        self.stubs.server = wanted;
        self
    }

    /// What clients name instead of `::highball_channel`: a module that re-exports it.
    #[must_use]
    pub fn client_path(mut self, path: impl Into<String>) -> Self {
        self.stubs.client_path = path.into();
        self
    }

    /// What servers name instead of `::highball_server`: a module that re-exports it.
    #[must_use]
    pub fn server_path(mut self, path: impl Into<String>) -> Self {
        self.stubs.server_path = path.into();
        self
    }

    /// Takes the protobuf package or message `proto` (`.google.type`) from the Rust module or type `rust`
    /// (`::google_types`) instead of generating it.
    #[must_use]
    pub fn extern_path(mut self, proto: impl Into<String>, rust: impl Into<String>) -> Self {
        self.extern_paths.push((proto.into(), rust.into()));
        self
    }

    /// Whether messages know their names in protobuf ([`prost::Name`](https://docs.rs/prost)), which it takes
    /// to pack them into a `google.protobuf.Any`: a detail of a status, say. They do not, unless this says
    /// otherwise.
    #[must_use]
    pub fn type_names(mut self, wanted: bool) -> Self {
        self.type_names = wanted;
        self
    }

    /// Has [`compile`](Self::compile) write the [descriptor set](Self::descriptor_set) as well, to a file of
    /// this name beside the others.
    #[must_use]
    pub fn descriptor_set_file(mut self, name: impl Into<String>) -> Self {
        self.descriptor_set = Some(name.into());
        self
    }

    /// Compiles `.proto` files and returns them as server reflection serves them: an encoded
    /// `FileDescriptorSet` with all that they import, and with their comments.
    ///
    /// # Errors
    ///
    /// [`Error::Proto`] if a file is missing or wrong.
    pub fn descriptor_set(
        &self,
        protos: &[impl AsRef<Path>],
        includes: &[impl AsRef<Path>],
    ) -> Result<Vec<u8>, Error> {
        Ok(compiler(protos, includes)?.encode_file_descriptor_set())
    }

    /// Compiles `.proto` files and returns what they become, by name. `includes` are the folders that
    /// imports are looked up in, and that `protos` are relative to or inside of.
    ///
    /// # Errors
    ///
    /// [`Error::Proto`] if a file is missing or wrong, [`Error::Generate`] if an
    /// [`extern_path`](Self::extern_path) is.
    pub fn generate(
        &self,
        protos: &[impl AsRef<Path>],
        includes: &[impl AsRef<Path>],
    ) -> Result<Vec<Generated>, Error> {
        self.render(compiler(protos, includes)?.file_descriptor_set())
    }

    /// Compiles `.proto` files and writes what they become; a file that would not change is left alone. In
    /// a build script, has Cargo run it again when one of the files or their imports changes.
    ///
    /// # Errors
    ///
    /// Those of [`generate`](Self::generate), [`Error::NoOutputFolder`] and [`Error::Write`].
    pub fn compile(
        &self,
        protos: &[impl AsRef<Path>],
        includes: &[impl AsRef<Path>],
    ) -> Result<(), Error> {
        let build_script_folder = env::var_os("OUT_DIR").map(PathBuf::from);
        let folder = self.out_dir.as_ref().or(build_script_folder.as_ref());
        let folder = folder.ok_or(Error::NoOutputFolder)?;
        let compiler = compiler(protos, includes)?;
        for generated in self.render(compiler.file_descriptor_set())? {
            write_if_changed(&folder.join(generated.name), generated.text.as_bytes())?;
        }
        if let Some(name) = &self.descriptor_set {
            let descriptors = compiler.encode_file_descriptor_set();
            write_if_changed(&folder.join(name), &descriptors)?;
        }
        if build_script_folder.is_some() {
            rerun_when_changed(&compiler);
        }
        Ok(())
    }

    fn render(&self, mut files: FileDescriptorSet) -> Result<Vec<Generated>, Error> {
        let mut sources: BTreeMap<Module, Vec<String>> = BTreeMap::new();
        let mut requests = Vec::new();
        for mut file in files.file.drain(..) {
            comments::complete(&mut file);
            let module = Module::from_protobuf_package_name(file.package());
            sources
                .entry(module.clone())
                .or_default()
                .push(file.name().to_owned());
            requests.push((module, file));
        }
        let modules = self.config().generate(requests).map_err(Error::Generate)?;
        // The map has no order of its own; the sources do.
        let generated = sources.iter().filter_map(|(module, sources)| {
            Some(Generated {
                name: module.to_file_name_or("_"),
                text: layout::arrange(modules.get(module)?, sources),
            })
        });
        Ok(generated.collect())
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config.service_generator(Box::new(self.stubs.clone()));
        if self.type_names {
            config.enable_type_names();
        }
        for (proto, rust) in &self.extern_paths {
            config.extern_path(proto, rust);
        }
        config
    }
}

fn compiler(
    protos: &[impl AsRef<Path>],
    includes: &[impl AsRef<Path>],
) -> Result<protox::Compiler, Error> {
    let mut compiler = protox::Compiler::new(includes.iter().map(AsRef::as_ref))?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(protos.iter().map(AsRef::as_ref))?;
    Ok(compiler)
}

fn write_if_changed(path: &Path, content: &[u8]) -> Result<(), Error> {
    let is_same = fs::read(path).is_ok_and(|found| found == content);
    if is_same {
        return Ok(());
    }
    fs::write(path, content).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}

#[expect(
    clippy::print_stdout,
    reason = "this is how a build script talks to Cargo"
)]
fn rerun_when_changed(compiler: &protox::Compiler) {
    for path in compiler.files().filter_map(|file| file.path()) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}
