// The server of gRPC's interoperability tests, on grpc-js.

const { readFileSync } = require("fs");
const { grpc, testing, flags, payload, ECHO_INITIAL, ECHO_TRAILING } = require("./interop");

const pause = (microseconds) =>
  new Promise((resolve) => setTimeout(resolve, microseconds / 1000));

function echoMetadata(call) {
  const trailing = new grpc.Metadata();
  const [initial] = call.metadata.get(ECHO_INITIAL);
  if (initial !== undefined) {
    const metadata = new grpc.Metadata();
    metadata.set(ECHO_INITIAL, initial);
    call.sendMetadata(metadata);
  }
  const [value] = call.metadata.get(ECHO_TRAILING);
  if (value !== undefined) trailing.set(ECHO_TRAILING, value);
  return trailing;
}

// The requests of a stream, whose other direction stays open when they end.
const requestsOf = (call) => call.iterator({ destroyOnReturn: false });

function wantedStatus(request) {
  const status = request.response_status;
  return status?.code ? { code: status.code, details: status.message } : null;
}

// Gives whether the stream goes on.
async function answer(call, request) {
  const status = wantedStatus(request);
  if (status) {
    call.emit("error", status);
    return false;
  }
  for (const { size, interval_us, fill_peer_socket_address } of request.response_parameters) {
    if (interval_us > 0) await pause(interval_us);
    const peer_socket_address = fill_peer_socket_address?.value ? call.getPeer() : "";
    call.write({ payload: payload(size), peer_socket_address });
  }
  return true;
}

const service = {
  EmptyCall: (call, done) => done(null, {}),

  UnaryCall: (call, done) => {
    const trailing = echoMetadata(call);
    const status = wantedStatus(call.request);
    if (status) return done({ ...status, metadata: trailing });
    const server_id = call.request.fill_server_id ? "grpc-js" : "";
    done(null, { payload: payload(call.request.response_size), server_id }, trailing);
  },

  StreamingInputCall: async (call, done) => {
    let size = 0;
    for await (const request of call) size += request.payload.body.length;
    done(null, { aggregated_payload_size: size });
  },

  StreamingOutputCall: async (call) => {
    if (await answer(call, call.request)) call.end();
  },

  FullDuplexCall: async (call) => {
    const trailing = echoMetadata(call);
    try {
      for await (const request of requestsOf(call)) if (!(await answer(call, request))) return;
      call.end(trailing);
    } catch {
      // The client has cancelled.
    }
  },

  HalfDuplexCall: async (call) => {
    const requests = [];
    for await (const request of requestsOf(call)) requests.push(request);
    for (const request of requests) if (!(await answer(call, request))) return;
    call.end();
  },
};

process.on("uncaughtException", (error) => console.error(error));
const limit = flags.max_concurrent_streams_limit;
const server = new grpc.Server(limit ? { "grpc.max_concurrent_streams": Number(limit) } : {});
server.addService(testing.TestService.service, service);
const secure = () =>
  grpc.ServerCredentials.createSsl(null, [
    { private_key: readFileSync(flags.tls_key_file), cert_chain: readFileSync(flags.tls_cert_file) },
  ]);
const credentials =
  flags.use_tls === "true" ? secure() : grpc.ServerCredentials.createInsecure();
server.bindAsync(`127.0.0.1:${flags.port}`, credentials, (error) => {
  if (error) throw error;
});
