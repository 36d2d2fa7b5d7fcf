"""redis-py, unchanged, against Talus: what an application does, in RESP2 and RESP3.

    redis_py.py check PORT        every check against one node
    redis_py.py survive PORT...   writes through all nodes until standard input says stop, while
                                  somebody kills and restarts them; loses nothing acknowledged
"""

import sys
import threading
import time

import redis
from redis.backoff import ConstantBackoff, NoBackoff
from redis.retry import Retry


def connect(port, protocol=3, **options):
    return redis.Redis(port=port, protocol=protocol, socket_timeout=20, **options)


def fails(kind, text, call, *args, **options):
    try:
        reply = call(*args, **options)
    except kind as error:
        assert type(error) is kind and text in str(error), repr(error)
    else:
        raise AssertionError(f"{text!r} expected, not {reply!r}")


def strings(r):
    assert r.set("k", "v") is True and r.get("k") == b"v"
    assert r.set("k", "w", nx=True) is None and r.set("none", "w", xx=True) is None
    assert r.set("k", "w", get=True) == b"v"
    assert r.set("k", "x", ex=100) and 90 < r.ttl("k") <= 100
    assert r.set("k", "y", keepttl=True) and r.pttl("k") > 90_000
    assert r.getex("k", persist=True) == b"y" and r.ttl("k") == -1
    assert r.mset({"a": 1, "b": 2}) and r.mget("a", "none", "b") == [b"1", None, b"2"]
    assert r.incrby("a", 41) == 42 and r.incrbyfloat("f", 1.5) == 1.5
    assert r.getdel("k") == b"y" and r.get("k") is None and r.delete("a", "b", "none") == 2
    assert r.ttl("none") == -2


def binary_and_big(r):
    key, value = bytes(range(256)), bytes(range(256)) * 40_960
    assert r.set(key, value) and r.strlen(key) == 10 << 20
    assert r.get(key) == value and r.getrange(key, 255, 257) == b"\xff\x00\x01"
    assert r.set("", "") and r.get("") == b"" and r.delete(key, "") == 2


def expiry(r):
    assert r.set("short", "v", px=60) and r.expire("none", 10) is False
    assert r.set("k", "v") and r.expire("k", 100) and r.expire("k", 200, nx=True) is False
    assert abs(r.expiretime("k") - time.time() - 100) < 5
    assert r.persist("k") and r.pexpireat("k", 1) and r.exists("k") == 0
    time.sleep(0.1)
    assert r.get("short") is None


def pipelines(r):
    pipe = r.pipeline(transaction=False)
    for i in range(5000):
        pipe.set(f"p:{i}", i)
    assert pipe.execute() == [True] * 5000
    for i in range(5000):
        pipe.get(f"p:{i}")
    assert pipe.execute() == [str(i).encode() for i in range(5000)]
    pipe = r.pipeline(transaction=False).set("s", "x").incr("s").get("s")
    ok, error, value = pipe.execute(raise_on_error=False)
    assert ok and isinstance(error, redis.ResponseError) and value == b"x"


def transactions(r):
    assert r.pipeline().set("t", 1).incr("t").execute() == [True, 2]
    fails(redis.ResponseError, "Command # 1", r.pipeline().incr("s").get("t").execute)
    fails(redis.ResponseError, "unknown command 'NOSUCH'",
          r.pipeline().execute_command("NOSUCH").get("t").execute)
    with r.pipeline() as pipe:
        pipe.watch("t")
        r.set("t", "else")
        pipe.multi()
        fails(redis.WatchError, "Watched variable", pipe.set("t", "mine").execute)
    r.set("counter", 0)
    threads = [threading.Thread(target=add_ten, args=(r,)) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert r.get("counter") == b"40"


def add_ten(r):
    def add(pipe):
        value = int(pipe.get("counter"))
        pipe.multi()
        pipe.set("counter", value + 1)
    for _ in range(10):
        r.transaction(add, "counter")


def iteration(r):
    assert {k for k in r.scan_iter("p:*", count=500)} == {f"p:{i}".encode() for i in range(5000)}
    assert len(set(r.scan_iter("p:1*", _type="string"))) == 1111 and not list(r.scan_iter("no*"))
    assert r.dbsize() >= 5000 and r.type("p:1") == b"string" and r.randomkey() is not None


def databases(r, port):
    other = connect(port, db=5)
    assert other.flushdb() and other.set("k", "five") and r.get("k") is None
    assert other.move("k", 6) and other.get("k") is None and other.dbsize() == 0
    assert r.execute_command("SELECT", 6) and r.execute_command("SELECT", 0)
    fails(redis.ResponseError, "DB index is out of range", connect(port, db=99).ping)


def errors(r, port):
    fails(redis.ResponseError, "value is not an integer", r.incr, "s")
    fails(redis.ResponseError, "unknown command 'NOSUCH', with args beginning with: 'a' ",
          r.execute_command, "NOSUCH", "a")
    fails(redis.ResponseError, "wrong number of arguments for 'get' command",
          r.execute_command, "GET")
    fails(redis.ResponseError, "syntax error", r.execute_command, "SET", "k", "v", "WHAT")
    hasty = redis.Redis(connection_pool=redis.ConnectionPool(port=port, retry=Retry(NoBackoff(), 0)))
    fails(redis.AuthenticationError, "without any password", hasty.execute_command, "AUTH", "x")
    assert r.ping()


def absent(r):
    fails(redis.ResponseError, "unknown command 'PUBLISH'", r.publish, "channel", "text")
    subscriber = r.pubsub()
    subscriber.subscribe("channel")
    fails(redis.ResponseError, "unknown command 'SUBSCRIBE'", subscriber.get_message, timeout=5)


def introspection(r, protocol):
    assert r.client_setname("tester") and r.client_getname() in ("tester", b"tester")
    info = r.client_info()
    assert info["name"] == "tester" and info["lib-name"] == "redis-py" and int(info["resp"]) == protocol
    assert any(client["name"] == "tester" for client in r.client_list())
    hello = r.execute_command("HELLO", protocol)
    assert {b"proto", b"server", b"mode"} <= set(hello) if protocol == 3 else b"proto" in hello
    keys, info = r.dbsize(), r.info()
    assert info["redis_version"] and info["loading"] == 0 and info["db0"]["keys"] == keys
    assert r.info("commandstats")["cmdstat_get"]["calls"] > 5000
    assert r.config_get("maxmemory*")["maxmemory"] == "0" and r.time()[0] > 1_600_000_000
    assert r.command_count() > 50 and r.memory_usage("s") > 0 and isinstance(r.slowlog_get(), list)
    assert r.echo("x") == b"x" and r.object("encoding", "p:1") == b"int" and r.lastsave()


def pools(port, protocol):
    pool = redis.BlockingConnectionPool(port=port, protocol=protocol, max_connections=4, timeout=20)
    r = redis.Redis(connection_pool=pool)
    threads = [threading.Thread(target=lambda: [r.incr("pool") for _ in range(50)]) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert r.get("pool") == b"400"
    for client in connect(port).client_list():
        connect(port).client_kill_filter(_id=client["id"])
    assert r.get("pool") == b"400", "a pool replaces connections that were closed"
    pool.disconnect()


def check(port):
    for protocol in (2, 3):
        r = connect(port, protocol)
        assert r.flushall()
        for step in (strings, binary_and_big, expiry, pipelines, transactions, iteration):
            step(r)
        errors(r, port)
        databases(r, port)
        introspection(r, protocol)
        pools(port, protocol)
        absent(r)


def survive(ports):
    """Each writer counts in a key of its own, and adds to it only what it knows to be missing."""
    stop = threading.Event()
    counts = [0] * len(ports)
    writers = [threading.Thread(target=write, args=(ports, i, counts, stop)) for i in range(len(ports))]
    [writer.start() for writer in writers]
    print("running", flush=True)
    sys.stdin.read()
    before = list(counts)
    time.sleep(0.5)
    stop.set()
    [writer.join() for writer in writers]
    print("acknowledged:", counts)
    assert all(now > then for now, then in zip(counts, before)), f"{before} then {counts}"
    for port in ports:
        for writer, count in enumerate(counts):
            found = int(connect(port).get(f"survive:{writer}"))
            assert found == count, f"{found} at {port}, not {count} of writer {writer}"


def write(ports, writer, counts, stop):
    """The node may go: redis-py connects anew by itself, and what is uncertain is looked up."""
    retry = Retry(ConstantBackoff(0.05), 400)
    r = connect(ports[writer], retry=retry, retry_on_error=[redis.ResponseError])
    key = f"survive:{writer}"
    while not stop.is_set():
        count = counts[writer] + 1
        assert r.set(key, count)
        counts[writer] = count


if __name__ == "__main__":
    if sys.argv[1] == "check":
        check(int(sys.argv[2]))
    else:
        survive([int(port) for port in sys.argv[2:]])
