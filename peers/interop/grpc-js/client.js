// The client of gRPC's interoperability tests, on grpc-js. The exit code says whether the case passed.

const assert = require("assert");
const { once } = require("events");
const { readFileSync } = require("fs");
const { grpc, testing, flags, payload, ECHO_INITIAL, ECHO_TRAILING } = require("./interop");

const address = `${flags.server_host}:${flags.server_port}`;
const isSecure = flags.use_tls === "true";
const credentials = isSecure
  ? grpc.credentials.createSsl(readFileSync(flags.ca_file))
  : grpc.credentials.createInsecure();
const name = flags.server_host_override;
const options = isSecure ? { "grpc.ssl_target_name_override": name } : {};
const client = new testing.TestService(address, credentials, options);
// Its messages are compressed, but for those that say no.
const gzip = { "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip };
const packing = new testing.TestService(address, credentials, { ...options, ...gzip });
const NO_COMPRESS = 2;
const { UNKNOWN, CANCELLED, DEADLINE_EXCEEDED, INVALID_ARGUMENT, UNIMPLEMENTED } = grpc.status;

const REQUESTS = [27182, 8, 1828, 45904];
const RESPONSES = [31415, 9, 2653, 58979];
const TEXT = "test status message";
const SPECIAL =
  "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \u{1f608}\t\n";

const askingFor = (size, ...sizes) => ({
  payload: payload(size),
  response_parameters: sizes.map((size) => ({ size })),
});

// The reply of a unary call, with the metadata around it.
const unary = (method, request, metadata = new grpc.Metadata(), on = client) =>
  new Promise((resolve, reject) => {
    const reply = {};
    const call = on[method](request, metadata, (error, message) => {
      if (error) reject(error);
      else reply.message = message;
    });
    call.on("metadata", (metadata) => (reply.initial = metadata));
    call.on("status", (status) => {
      reply.trailing = status.metadata;
      if (status.code === grpc.status.OK) resolve(reply);
    });
  });

// The reply to a stream of requests.
const collected = (on, write) =>
  new Promise((resolve, reject) => {
    const call = on.StreamingInputCall((error, reply) => (error ? reject(error) : resolve(reply)));
    write(call);
    call.end();
  });

// All replies of a stream.
async function sizes(call) {
  const sizes = [];
  for await (const reply of call) sizes.push(reply.payload.body.length);
  return sizes;
}

async function expectStatus(running, code, text) {
  const error = await running.then(
    () => assert.fail("it ended well"),
    (error) => error,
  );
  assert.strictEqual(error.code, code, error);
  if (text !== undefined) assert.strictEqual(error.details, text);
}

function echoing() {
  const metadata = new grpc.Metadata();
  metadata.set(ECHO_INITIAL, "test_initial_metadata_value");
  metadata.set(ECHO_TRAILING, Buffer.from([0xab, 0xab, 0xab]));
  return metadata;
}

function expectEcho(initial, trailing) {
  assert.deepStrictEqual(initial.get(ECHO_INITIAL), ["test_initial_metadata_value"]);
  const bytes = trailing.get(ECHO_TRAILING).map((value) => value.toString("hex"));
  assert.deepStrictEqual(bytes, ["ababab"]);
}

const cases = {
  empty_unary: async () => {
    assert.deepStrictEqual((await unary("EmptyCall", {})).message, {});
  },

  large_unary: async () => {
    const request = { payload: payload(271828), response_size: 314159 };
    const { message } = await unary("UnaryCall", request);
    assert(message.payload.body.equals(Buffer.alloc(314159)));
  },

  client_streaming: async () => {
    const size = await new Promise((resolve, reject) => {
      const call = client.StreamingInputCall((error, reply) =>
        error ? reject(error) : resolve(reply.aggregated_payload_size),
      );
      for (const size of REQUESTS) call.write({ payload: payload(size) });
      call.end();
    });
    assert.strictEqual(size, 74922);
  },

  server_streaming: async () => {
    const call = client.StreamingOutputCall(askingFor(0, ...RESPONSES));
    assert.deepStrictEqual(await sizes(call), RESPONSES);
  },

  ping_pong: async () => {
    const call = client.FullDuplexCall();
    const replies = call[Symbol.asyncIterator]();
    for (const [index, size] of REQUESTS.entries()) {
      call.write(askingFor(size, RESPONSES[index]));
      const { value } = await replies.next();
      assert.strictEqual(value.payload.body.length, RESPONSES[index]);
    }
    call.end();
    assert((await replies.next()).done);
  },

  empty_stream: async () => {
    const call = client.FullDuplexCall();
    call.end();
    assert.deepStrictEqual(await sizes(call), []);
  },

  half_duplex: async () => {
    const call = client.HalfDuplexCall();
    REQUESTS.forEach((size, index) => call.write(askingFor(size, RESPONSES[index])));
    call.end();
    assert.deepStrictEqual(await sizes(call), RESPONSES);
  },

  cancel_after_begin: () => {
    const running = new Promise((resolve, reject) => {
      const call = client.StreamingInputCall((error, reply) =>
        error ? reject(error) : resolve(reply),
      );
      setImmediate(() => call.cancel());
    });
    return expectStatus(running, CANCELLED);
  },

  cancel_after_first_response: async () => {
    const call = client.FullDuplexCall();
    call.write(askingFor(REQUESTS[0], RESPONSES[0]));
    const [reply] = await once(call, "data");
    assert.strictEqual(reply.payload.body.length, RESPONSES[0]);
    call.cancel();
    const [error] = await once(call, "error");
    assert.strictEqual(error.code, CANCELLED);
  },

  timeout_on_sleeping_server: async () => {
    const call = client.FullDuplexCall({ deadline: Date.now() + 1 });
    call.write(askingFor(REQUESTS[0]));
    await expectStatus(sizes(call), DEADLINE_EXCEEDED);
  },

  status_code_and_message: async () => {
    const response_status = { code: 2, message: TEXT };
    await expectStatus(unary("UnaryCall", { response_status }), UNKNOWN, TEXT);
    const call = client.FullDuplexCall();
    call.write({ response_status });
    call.end();
    await expectStatus(sizes(call), UNKNOWN, TEXT);
  },

  special_status_message: () => {
    const response_status = { code: 2, message: SPECIAL };
    return expectStatus(unary("UnaryCall", { response_status }), UNKNOWN, SPECIAL);
  },

  custom_metadata: async () => {
    const request = { payload: payload(271828), response_size: 314159 };
    const { initial, trailing } = await unary("UnaryCall", request, echoing());
    expectEcho(initial, trailing);
    const call = client.FullDuplexCall(echoing());
    const metadata = once(call, "metadata");
    const status = once(call, "status");
    call.write(askingFor(271828, 314159));
    call.end();
    assert.deepStrictEqual(await sizes(call), [314159]);
    expectEcho((await metadata)[0], (await status)[0].metadata);
  },

  unimplemented_method: () => expectStatus(unary("UnimplementedCall", {}), UNIMPLEMENTED),

  unimplemented_service: () => {
    const other = new testing.UnimplementedService(address, credentials, options);
    return expectStatus(unary("UnimplementedCall", {}, undefined, other), UNIMPLEMENTED);
  },

  pick_first_unary: async () => {
    const ids = new Set();
    for (let call = 0; call < 100; call += 1) {
      ids.add((await unary("UnaryCall", { fill_server_id: true })).message.server_id);
    }
    assert(ids.size === 1 && !ids.has(""), [...ids].join());
  },

  client_compressed_unary: async () => {
    const request = (value) => ({
      payload: payload(271828),
      response_size: 314159,
      expect_compressed: { value },
    });
    await expectStatus(unary("UnaryCall", request(true)), INVALID_ARGUMENT);
    for (const on of [packing, client]) {
      const { message } = await unary("UnaryCall", request(on === packing), undefined, on);
      assert.strictEqual(message.payload.body.length, 314159);
    }
  },

  client_compressed_streaming: async () => {
    const request = (size, value) => ({ payload: payload(size), expect_compressed: { value } });
    const lie = collected(client, (call) => call.write(request(27182, true)));
    await expectStatus(lie, INVALID_ARGUMENT);
    const reply = await collected(packing, (call) => {
      call.write(request(27182, true));
      call.write(request(45904, false), NO_COMPRESS);
    });
    assert.strictEqual(reply.aggregated_payload_size, 73086);
  },

  server_compressed_unary: async () => {
    for (const value of [true, false]) {
      const request = { response_size: 314159, response_compressed: { value } };
      const { message } = await unary("UnaryCall", request);
      assert(message.payload.body.equals(Buffer.alloc(314159)));
    }
  },

  server_compressed_streaming: async () => {
    const call = client.StreamingOutputCall({
      response_parameters: [
        { size: 31415, compressed: { value: true } },
        { size: 92653, compressed: { value: false } },
      ],
    });
    assert.deepStrictEqual(await sizes(call), [31415, 92653]);
  },
};

cases[flags.test_case]().then(
  () => process.exit(0),
  (error) => {
    console.error(error.message);
    process.exit(1);
  },
);
