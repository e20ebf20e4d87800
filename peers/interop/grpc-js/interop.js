// What both ends of grpc-js' interoperability tests share: the service and flags.

const path = require("path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const proto = path.join(__dirname, "../../../crates/echo/proto/grpc/testing/test.proto");
const options = { keepCase: true, defaults: true };
const { testing } = grpc.loadPackageDefinition(loader.loadSync(proto, options)).grpc;

// The official flags, `--name=value`.
const flags = Object.fromEntries(
  process.argv.slice(2).map((flag) => flag.replace(/^--/, "").split(/=(.*)/s)),
);

const payload = (size) => ({ body: Buffer.alloc(size) });

module.exports = {
  grpc,
  testing,
  flags,
  payload,
  ECHO_INITIAL: "x-grpc-test-echo-initial",
  ECHO_TRAILING: "x-grpc-test-echo-trailing-bin",
};
