// node-redis and ioredis, unchanged, against Talus: what an application does, in RESP2 and RESP3.
//
//     node_redis.mjs check PORT        every check against one node
//     node_redis.mjs survive PORT...   writes through all nodes until standard input ends, while
//                                      somebody kills and restarts them; loses nothing acknowledged
//
// The clients are those installed in the directory TALUS_CLIENTS.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

const require = createRequire(`${process.env.TALUS_CLIENTS}/`);
const { createClient, createClientPool, ErrorReply, RESP_TYPES, WatchError } = require("redis");
const { Redis } = require("ioredis");

async function connect(port, RESP) {
  const client = createClient({ RESP, socket: { port, reconnectStrategy: 50 } });
  client.on("error", () => {}); // It connects anew by itself.
  return client.connect();
}

async function strings(client) {
  assert.equal(await client.set("k", "v", { expiration: { type: "EX", value: 100 } }), "OK");
  assert.ok((await client.ttl("k")) > 90);
  assert.equal(await client.set("k", "w", { condition: "NX" }), null);
  assert.equal(await client.set("k", "w", { GET: true }), "v");
  assert.deepEqual(await client.mGet(["k", "none"]), ["w", null]);
  assert.equal(await client.incrByFloat("f", 1.5), "1.5");
  assert.equal(await client.incrBy("n", 2 ** 40), 2 ** 40);
  assert.equal(await client.expire("k", 100, "XX"), 0);
  assert.equal(await client.pExpire("k", 60), 1);
  await sleep(150);
  assert.equal(await client.get("k"), null);
  assert.equal(await client.ttl("k"), -2);
}

async function binaryAndBig(client) {
  const buffers = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const key = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const value = Buffer.alloc(10 << 20, key);
  await client.set(key, value);
  assert.ok(value.equals(await buffers.get(key)));
  assert.equal(await client.del(key), 1);
}

async function pipelines(client) {
  const all = Array.from({ length: 3000 }, (_, i) => i);
  await Promise.all(all.map((i) => client.set(`p:${i}`, i.toString())));
  assert.deepEqual(await Promise.all(all.map((i) => client.get(`p:${i}`))), all.map(String));
  const found = new Set();
  for await (const keys of client.scanIterator({ MATCH: "p:*", COUNT: 500, TYPE: "string" })) {
    keys.forEach((key) => found.add(key));
  }
  assert.equal(found.size, all.length);
}

async function transactions(client, other) {
  assert.deepEqual(await client.multi().set("t", "1").incr("t").get("t").exec(), ["OK", 2, "2"]);
  await client.watch("t");
  await other.set("t", "else");
  await assert.rejects(client.multi().set("t", "mine").exec(), WatchError);
  assert.equal(await client.get("t"), "else");
  const failed = client.multi().set("s", "x").incr("s").exec();
  const { replies } = await failed.catch((error) => error);
  assert.equal(replies[0], "OK");
  assert.ok(replies[1] instanceof ErrorReply);
}

async function errors(client) {
  const fails = (args, text) => assert.rejects(client.sendCommand(args), { message: text });
  await fails(["INCR", "s"], "ERR value is not an integer or out of range");
  await fails(["NOSUCH", "a"], "ERR unknown command 'NOSUCH', with args beginning with: 'a' ");
  await fails(["GET"], "ERR wrong number of arguments for 'get' command");
  await assert.rejects(client.publish("c", "x"), /unknown command 'PUBLISH'/);
  await fails(["SELECT", "99"], "ERR DB index is out of range");
}

async function introspection(client, RESP) {
  await client.clientSetName("tester");
  const info = await client.clientInfo();
  assert.deepEqual([info.name, info.libName, info.resp], ["tester", "node-redis", RESP]);
  assert.ok((await client.clientList()).some(({ name }) => name === "tester"));
  assert.equal((await client.hello(RESP)).proto, RESP);
  assert.match(await client.info(), /redis_version:7/);
  assert.ok((await client.configGet("max*")).maxclients > 0);
  const [get] = await client.commandInfo(["get"]);
  assert.deepEqual([get.name, get.arity, get.firstKeyIndex], ["get", 2, 1]);
  await client.select(7);
  assert.equal(await client.dbSize(), 0);
  await client.select(0);
}

async function pools(port, RESP) {
  const pool = createClientPool({ RESP, socket: { port } }, { minimum: 1, maximum: 4 });
  await pool.connect();
  await Promise.all(Array.from({ length: 200 }, () => pool.incr("pool")));
  assert.equal(await pool.get("pool"), "200");
  await pool.close();
}

async function withIoredis(port) {
  const client = new Redis(port, { connectionName: "io", db: 3 });
  assert.equal(await client.set("k", "v", "PX", 100_000, "NX"), "OK");
  const [value, [error]] = await client.pipeline().get("k").incr("k").exec();
  assert.deepEqual(value, [null, "v"]);
  assert.match(error.message, /^ERR value is not an integer/);
  assert.deepEqual(await client.multi().set("n", 1).incr("n").exec(), [[null, "OK"], [null, 2]]);
  assert.ok(Buffer.from("v").equals(await client.getBuffer("k")));
  const keys = [];
  for await (const some of client.scanStream({ match: "*" })) keys.push(...some);
  assert.deepEqual(keys.sort(), ["k", "n"]);
  assert.match(await client.client("INFO"), / name=io .* db=3 /);
  await assert.rejects(client.subscribe("channel"), /unknown command 'subscribe'/);
  await client.quit();
}

async function check(port) {
  for (const RESP of [2, 3]) {
    const [client, other] = [await connect(port, RESP), await connect(port, RESP)];
    await client.flushAll();
    await strings(client);
    await binaryAndBig(client);
    await pipelines(client);
    await transactions(client, other);
    await errors(client);
    await introspection(client, RESP);
    await pools(port, RESP);
    await Promise.all([client.close(), other.close()]);
  }
  await withIoredis(port);
}

// Each writer counts in a key of its own, and sets again what it does not know to be written.
async function survive(ports) {
  const clients = await Promise.all(ports.map((port) => connect(port, 3)));
  const counts = ports.map(() => 0);
  let stopping = false;
  const write = async (client, writer) => {
    while (!stopping) {
      const written = await client.set(`node:${writer}`, counts[writer] + 1).catch(() => sleep(50));
      if (written === "OK") counts[writer] += 1;
    }
  };
  const writers = clients.map(write);
  console.log("running");
  for await (const _ of process.stdin);
  const before = [...counts];
  await sleep(500);
  stopping = true;
  await Promise.all(writers);
  console.log("acknowledged:", counts);
  assert.ok(counts.every((count, writer) => count > before[writer]), `${before} then ${counts}`);
  for (const client of clients) {
    const found = await client.mGet(counts.map((_, writer) => `node:${writer}`));
    assert.deepEqual(found.map(Number), counts);
  }
  await Promise.all(clients.map((client) => client.close()));
}

const [mode, ...ports] = process.argv.slice(2);
await (mode === "check" ? check(Number(ports[0])) : survive(ports.map(Number)));
