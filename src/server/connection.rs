//! One connection: read, decide, carry out, write.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proto::log::v1::Item;
use resp::{Decoder, Protocol, ProtocolError, Reply, ReplyError, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::limits::{KEEP_BYTES, READ_BYTES, RUN_BYTES_MAX, RUN_COMMANDS_MAX, WRITE_BYTES};
use super::{Client, Server, admin, now, reads};
use crate::commands::Command;
use crate::session::{Exec, Gatekeeper, LocalStep, Plan, Query, Session};

/// A client's connection.
pub struct Connection {
    server: Arc<Server>,
    client: Arc<Client>,
    stream: TcpStream,
    session: Session,
    decoder: Decoder,
    input: BytesMut,
    output: BytesMut,
    run: Run,
    closing: bool,
}

/// Requests in a row that are carried out together.
enum Run {
    Empty,
    Writes(Writes),
    Reads(Vec<Query>),
}

#[derive(Default)]
struct Writes {
    commands: Vec<&'static Command>,
    items: Vec<Item>,
    bytes: usize,
}

impl Writes {
    fn push(&mut self, command: &'static Command, item: Item) {
        self.bytes += item.requests.iter().flat_map(|r| &r.args).map(Bytes::len).sum::<usize>();
        self.commands.push(command);
        self.items.push(item);
    }

    fn is_full(&self) -> bool {
        self.items.len() >= RUN_COMMANDS_MAX || self.bytes >= RUN_BYTES_MAX
    }
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(server: Arc<Server>, stream: TcpStream, client: Arc<Client>) -> Self {
        let session = Session::new(Arc::clone(&client), !server.requires_password());
        let decoder = decoder(&server);
        Self {
            server,
            client,
            stream,
            session,
            decoder,
            input: BytesMut::new(),
            output: BytesMut::new(),
            run: Run::Empty,
            closing: false,
        }
    }

    /// Serves the client until one side closes.
    pub async fn run(mut self) {
        if let Err(error) = self.serve().await {
            tracing::debug!(%error, client = %self.client.address(), "connection lost");
        }
        self.server.clients.remove(self.client.id());
    }

    async fn serve(&mut self) -> io::Result<()> {
        while !self.closing && self.receive().await? {
            self.turn().await?;
            self.write_out().await?;
            self.client.note_turn(self.session.queued());
            self.closing |= self.client.is_killed();
        }
        Ok(())
    }

    /// Reads once. False at the client's end, after a kill or too long a silence.
    async fn receive(&mut self) -> io::Result<bool> {
        self.give_back_memory();
        self.input.reserve(READ_BYTES);
        self.decoder.set_limits(self.server.config.resp_limits());
        let silence = self.server.config.now().server.idle_timeout_s.duration();
        let read = tokio::select! {
            biased;
            read = self.stream.read_buf(&mut self.input) => read?,
            () = self.client.killed() => 0,
            () = silent_for(silence) => 0,
        };
        self.server.telemetry.counters.net_input_bytes.add(read as u64);
        Ok(read > 0)
    }

    fn give_back_memory(&mut self) {
        if self.input.is_empty() && self.input.capacity() > KEEP_BYTES {
            self.input = BytesMut::new();
        }
        if self.output.is_empty() && self.output.capacity() > KEEP_BYTES {
            self.output = BytesMut::new();
        }
    }

    /// Carries out every whole request that has been read.
    async fn turn(&mut self) -> io::Result<()> {
        while !self.closing {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(request)) => self.request(request).await?,
                Ok(None) => break,
                Err(error) => {
                    self.flush().await;
                    self.refuse(error);
                }
            }
        }
        self.flush().await;
        Ok(())
    }

    /// After bytes that are no request there is no next one to be found.
    fn refuse(&mut self, error: ProtocolError) {
        self.closing = true;
        match error {
            // As Redis does: whoever sends that much does not listen.
            ProtocolError::Request => {
                self.server.telemetry.counters.input_limit_disconnections.increment();
                tracing::warn!(client = %self.client.describe(), "closed: query buffer limit");
            }
            error => self.reply(&Reply::Error(error.into())),
        }
    }

    async fn request(&mut self, request: Request) -> io::Result<()> {
        let protocol = self.session.protocol();
        let begun = now();
        let plan = self.session.plan(request, &*self.server);
        self.decoder.set_authenticated(self.session.is_authenticated());
        let is_heard = self.session.takes_reply();
        if !is_heard || protocol != self.session.protocol() {
            self.flush_as(protocol).await;
        }
        let written = self.output.len();
        self.carry_out(plan).await;
        if !is_heard {
            self.flush().await;
            self.output.truncate(written);
        }
        if let Some((command, request)) = self.session.take_spent() {
            let took = begun.elapsed();
            self.server.telemetry.executed(command.id, took, 1);
            self.note_if_slow(command, &request, took);
        }
        if self.output.len() >= WRITE_BYTES { self.write_out().await } else { Ok(()) }
    }

    async fn carry_out(&mut self, plan: Plan) {
        let writes = matches!(plan, Plan::Write(..) | Plan::Exec(_));
        if self.server.pause.holds(writes) {
            self.flush().await;
            self.server.pause.wait(writes).await;
        }
        match plan {
            Plan::Write(command, item) => self.join_writes(command, item).await,
            Plan::Read(query) => self.join_reads(query).await,
            Plan::Reply(reply) => {
                self.flush().await;
                self.reply(&reply);
            }
            Plan::Close(reply) => {
                self.flush().await;
                self.reply(&reply);
                self.closing = true;
            }
            Plan::Exec(exec) => {
                self.flush().await;
                let reply = self.exec(exec).await;
                self.reply(&reply);
            }
            Plan::Watch(keys) => {
                self.flush().await;
                let reply = self.watch(keys).await;
                self.reply(&reply);
            }
            Plan::Admin(verb) => {
                self.flush().await;
                let reply = Box::pin(admin::carry_out(&self.server, &self.client, verb)).await;
                self.reply(&reply);
            }
        }
    }

    async fn join_writes(&mut self, command: &'static Command, item: Item) {
        if !matches!(self.run, Run::Writes(_)) {
            self.flush().await;
            self.run = Run::Writes(Writes::default());
        }
        let Run::Writes(writes) = &mut self.run else { return };
        writes.push(command, item);
        if writes.is_full() {
            self.flush().await;
        }
    }

    async fn join_reads(&mut self, query: Query) {
        if !matches!(self.run, Run::Reads(_)) {
            self.flush().await;
            self.run = Run::Reads(Vec::with_capacity(RUN_USUAL));
        }
        let Run::Reads(queries) = &mut self.run else { return };
        queries.push(query);
        if queries.len() >= RUN_COMMANDS_MAX {
            self.flush().await;
        }
    }

    async fn flush(&mut self) {
        self.flush_as(self.session.protocol()).await;
    }

    /// Carries out the requests gathered so far and encodes their replies.
    async fn flush_as(&mut self, protocol: Protocol) {
        match std::mem::replace(&mut self.run, Run::Empty) {
            Run::Empty => {}
            Run::Writes(writes) => self.write_run(writes, protocol).await,
            Run::Reads(queries) => self.read_run(&queries, protocol).await,
        }
    }

    async fn write_run(&mut self, writes: Writes, protocol: Protocol) {
        let begun = now();
        let replies = self.write(&writes.items).await;
        let took = begun.elapsed();
        self.server.telemetry.write.total.record(took);
        let each = took / replies.len().max(1) as u32;
        for (reply, command) in replies.iter().zip(&writes.commands) {
            self.encode(reply, protocol);
            if reply.is_error() {
                self.server.telemetry.failed(command.id);
            }
        }
        let words = |item: &'_ Item| item.requests.first().map(|request| request.args.clone());
        self.account_run(&writes.commands, each, |at| writes.items.get(at).and_then(words));
    }

    async fn write(&mut self, items: &[Item]) -> Vec<Reply> {
        let replica = self.server.replica.load_full();
        match replica.serves().and_then(|()| replica.router.submit(items)) {
            Ok(answer) => answer
                .await
                .unwrap_or_else(|_| vec![Reply::Error(crate::router::uncertain()); items.len()]),
            Err(error) => vec![Reply::Error(error); items.len()],
        }
    }

    async fn read_run(&mut self, queries: &[Query], protocol: Protocol) {
        let replica = self.server.replica.load_full();
        let Self { server, output, .. } = self;
        let begun = now();
        reads::run(&replica, &server.telemetry, queries, |query, reply| {
            if reply.is_error() {
                server.telemetry.failed(query.command.id);
            }
            encode(server, reply, protocol, output);
        })
        .await;
        let each = begun.elapsed() / queries.len().max(1) as u32;
        let commands: Vec<_> = queries.iter().map(|query| query.command).collect();
        self.account_run(&commands, each, |at| queries.get(at).map(|query| query.request.clone()));
    }

    async fn exec(&mut self, exec: Exec) -> Reply {
        let logged = match &exec.item {
            Some(item) => self.write(std::slice::from_ref(item)).await.pop(),
            None => Some(Reply::Array(Vec::new())),
        };
        let Some(Reply::Array(logged)) = logged else {
            // A watched key changed, or the log refused: nothing was done.
            return logged.unwrap_or(Reply::NullArray);
        };
        self.session.select(exec.db_after);
        let mut local = Vec::with_capacity(exec.locals.len());
        for step in &exec.locals {
            local.push(self.local_step(step).await);
        }
        exec.splice(logged, local)
    }

    async fn local_step(&mut self, step: &LocalStep) -> Reply {
        match self.session.plan_local(step, &*self.server) {
            Plan::Reply(reply) => reply,
            Plan::Admin(verb) => Box::pin(admin::carry_out(&self.server, &self.client, verb)).await,
            _ => Reply::Error(ReplyError::NotInMulti),
        }
    }

    async fn watch(&mut self, keys: Vec<Bytes>) -> Reply {
        let replica = self.server.replica.load_full();
        match reads::versions(&replica, self.session.db(), &keys).await {
            Ok(versions) => {
                keys.into_iter().zip(versions).for_each(|(k, v)| self.session.watch(k, v));
                Reply::OK
            }
            Err(error) => Reply::Error(error),
        }
    }

    /// Counts the requests of a run, of which each has taken its share of the time. `words` are
    /// looked up only for the slow log.
    fn account_run(
        &self,
        commands: &[&'static Command],
        each: Duration,
        words: impl Fn(usize) -> Option<Request>,
    ) {
        for same in commands.chunk_by(|one, next| one.id == next.id) {
            self.server.telemetry.executed(same[0].id, each, same.len());
        }
        if self.server.slowlog.is_slow(each.as_micros() as u64) {
            for (at, command) in commands.iter().enumerate() {
                self.note_if_slow(command, &words(at).unwrap_or_default(), each);
            }
        }
    }

    fn note_if_slow(&self, command: &Command, request: &[Bytes], took: Duration) {
        let micros = took.as_micros() as u64;
        if self.server.slowlog.is_slow(micros) && !command.is_not_slowlogged() {
            self.server.slowlog.note(micros, request, &self.client);
        }
    }

    fn reply(&mut self, reply: &Reply) {
        self.encode(reply, self.session.protocol());
    }

    fn encode(&mut self, reply: &Reply, protocol: Protocol) {
        encode(&self.server, reply, protocol, &mut self.output);
    }

    /// Writes what is ready. A client that does not read holds up itself alone, for a while.
    async fn write_out(&mut self) -> io::Result<()> {
        let limit = self.server.config.now().server.output_limits.normal;
        let is_over = |limit: usize| limit > 0 && self.output.len() > limit;
        if is_over(limit.hard.as_usize()) {
            return Err(self.give_up("output buffer limit"));
        }
        let is_soft = is_over(limit.soft.as_usize());
        let patience = if is_soft { limit.soft_s.duration() } else { STALL_MAX };
        let write = self.stream.write_all(&self.output);
        match tokio::time::timeout(patience, write).await {
            Ok(written) => written?,
            Err(_) => return Err(self.give_up("replies are not read")),
        }
        self.server.telemetry.counters.net_output_bytes.add(self.output.len() as u64);
        self.output.clear();
        Ok(())
    }

    /// Says why a client that does not read its replies is disconnected.
    fn give_up(&self, reason: &'static str) -> io::Error {
        self.server.telemetry.counters.output_limit_disconnections.increment();
        tracing::warn!(client = %self.client.describe(), "closed: {reason}");
        io::Error::other(reason)
    }
}

fn encode(server: &Server, reply: &Reply, protocol: Protocol, output: &mut BytesMut) {
    if let Reply::Error(error) = reply {
        server.telemetry.error(&error.to_string());
    }
    resp::encode(reply, protocol, output);
}

/// Room for a run of reads that is not unusually long.
const RUN_USUAL: usize = 16;

/// How long a client may leave its replies unread while more of them wait.
const STALL_MAX: Duration = Duration::from_secs(60);

async fn silent_for(limit: Duration) {
    if limit.is_zero() {
        return std::future::pending().await;
    }
    tokio::time::sleep(limit).await;
}

fn decoder(server: &Server) -> Decoder {
    let mut decoder = Decoder::new(server.config.resp_limits());
    decoder.set_authenticated(!server.requires_password());
    decoder
}
