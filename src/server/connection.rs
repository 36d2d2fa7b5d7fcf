//! One connection: read, decide, carry out, write.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proto::log::v1::Item;
use raft::Mutant;
use resp::{Decoder, Protocol, ProtocolError, Reply, ReplyError, Request};
use tokio::net::TcpStream;

use super::limits::{FREE_BYTES, RUN_BYTES_MAX, RUN_COMMANDS_MAX, WRITE_BYTES};
use super::wire::Wire;
use super::{Client, Server, admin, now, reads};
use crate::commands::Command;
use crate::session::{Ending, Exec, Gatekeeper, LocalStep, Plan, Query, Session, Spent, bytes_of};
use crate::threads::Place;

/// A client's connection.
pub struct Connection {
    server: Arc<Server>,
    client: Arc<Client>,
    wire: Wire,
    session: Session,
    decoder: Decoder,
    run: Run,
    closing: bool,
    place: Place,
    /// Nobody sees it any more when it ends, also by a panic of its task.
    _listed: Listed,
}

/// A connection's place in the list of clients.
struct Listed {
    server: Arc<Server>,
    client: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.server.clients.remove(self.client);
    }
}

/// Requests in a row that are carried out together.
enum Run {
    Empty,
    Writes(Writes),
    Reads(Reads),
}

#[derive(Default)]
struct Writes {
    commands: Vec<&'static Command>,
    items: Vec<Item>,
    bytes: usize,
}

impl Writes {
    fn push(&mut self, command: &'static Command, item: Item) {
        self.bytes += item.requests.iter().map(|request| bytes_of(&request.args)).sum::<usize>();
        self.commands.push(command);
        self.items.push(item);
    }

    fn is_full(&self) -> bool {
        self.items.len() >= RUN_COMMANDS_MAX || self.bytes >= RUN_BYTES_MAX
    }
}

#[derive(Default)]
struct Reads {
    queries: Vec<Query>,
    bytes: usize,
}

impl Reads {
    fn push(&mut self, query: Query) {
        self.bytes += bytes_of(&query.request);
        self.queries.push(query);
    }

    fn is_full(&self) -> bool {
        self.queries.len() >= RUN_COMMANDS_MAX || self.bytes >= RUN_BYTES_MAX
    }
}

impl Run {
    fn bytes(&self) -> usize {
        match self {
            Run::Empty => 0,
            Run::Writes(writes) => writes.bytes,
            Run::Reads(reads) => reads.bytes,
        }
    }
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(server: Arc<Server>, stream: TcpStream, client: Arc<Client>) -> Self {
        let session = Session::new(Arc::clone(&client), !server.requires_password());
        let decoder = decoder(&server);
        let wire = Wire::new(Arc::clone(&server), Arc::clone(&client), stream);
        Self {
            _listed: Listed { server: Arc::clone(&server), client: client.id() },
            server,
            client,
            wire,
            session,
            decoder,
            run: Run::Empty,
            closing: false,
            place: Place::Clients,
        }
    }

    /// Serves the client until one side closes, here or where that is done better.
    pub async fn run(mut self) {
        match self.serve().await {
            Ok(None) => {}
            Ok(Some(place)) => self.go_on_at(place),
            Err(error) => {
                tracing::debug!(%error, client = %self.client.address(), "connection lost");
            }
        }
    }

    /// The place to go on at, if it is another one; what was read is to be carried out there.
    async fn serve(&mut self) -> io::Result<Option<Place>> {
        if !self.wire.input.is_empty() {
            self.answer().await?;
        }
        while !self.closing && self.wire.receive().await? {
            let place = self.server.threads.place(&self.server.replica.load().consensus);
            if place != self.place {
                return Ok(Some(place));
            }
            self.answer().await?;
        }
        if !self.client.is_killed() {
            self.wire.drain().await?;
        }
        Ok(None)
    }

    fn go_on_at(self, place: Place) {
        self.server.telemetry.counters.connections_moved.increment();
        let threads = self.server.threads.clone();
        threads.at(place).spawn(async move {
            match self.wire.moved() {
                Ok(wire) => Self { wire, place, ..self }.run().await,
                Err(error) => tracing::warn!(%error, "cannot serve a connection elsewhere"),
            }
        });
    }

    /// Carries out what was read, and writes the replies.
    async fn answer(&mut self) -> io::Result<()> {
        self.decoder.set_limits(self.server.config.resp_limits());
        self.turn().await?;
        self.wire.push().await?;
        self.client.note_turn(self.session.queued());
        self.closing |= self.client.is_killed();
        Ok(())
    }

    /// Carries out every whole request that has been read.
    async fn turn(&mut self) -> io::Result<()> {
        while !self.closing {
            match self.decoder.decode(&mut self.wire.input) {
                Ok(Some(request)) => self.request(request).await?,
                Ok(None) => break,
                Err(error) => {
                    self.flush().await?;
                    self.refuse(error);
                }
            }
        }
        self.flush().await?;
        self.wire.kept = self.session.kept_bytes();
        self.expect().await
    }

    /// Sees to it that the rest of a large request finds room, or is dropped as it comes.
    async fn expect(&mut self) -> io::Result<()> {
        let announced = Some(self.decoder.announced_bytes()).filter(|bytes| *bytes > FREE_BYTES);
        if !self.wire.expect(announced.unwrap_or(0)).await? {
            self.decoder.skip(&mut self.wire.input);
        }
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
        if is_http(&request) {
            return self.refuse_http().await;
        }
        let plan = self.plan(request).await?;
        self.decoder.set_authenticated(self.session.is_authenticated());
        let is_heard = self.session.takes_reply();
        if !is_heard || protocol != self.session.protocol() {
            self.flush_as(protocol).await?;
        }
        let written = self.wire.output.len();
        self.carry_out(plan).await?;
        if !is_heard {
            self.flush().await?;
            self.wire.output.truncate(written);
        }
        if let Some(spent) = self.session.take_spent() {
            self.account_spent(&spent, begun.elapsed());
        }
        if self.wire.output.len() >= WRITE_BYTES { self.wire.push().await } else { Ok(()) }
    }

    /// As Redis does: a page in a browser may make it send requests here, in the body of a POST.
    async fn refuse_http(&mut self) -> io::Result<()> {
        self.closing = true;
        tracing::warn!(
            client = %self.client.describe(),
            "closed: possible SECURITY ATTACK: it sends POST or Host: of HTTP"
        );
        self.flush().await
    }

    /// A request without words is one that was dropped for want of room.
    async fn plan(&mut self, request: Request) -> io::Result<Plan> {
        let queued = self.session.kept_bytes() + bytes_of(&request);
        let fits = self.session.queued().is_none() || self.wire.keep(queued + self.run.bytes());
        if fits && !request.is_empty() {
            return Ok(self.session.plan(request, &*self.server));
        }
        self.flush().await?;
        Ok(self.session.refuse(no_room()))
    }

    async fn carry_out(&mut self, plan: Plan) -> io::Result<()> {
        let writes = matches!(plan, Plan::Write(..) | Plan::Exec(_));
        if self.server.pause.holds(writes) {
            self.flush().await?;
            self.server.pause.wait(writes).await;
        }
        match plan {
            Plan::Write(command, item) => self.join_writes(command, item).await?,
            Plan::Read(query) => self.join_reads(query).await?,
            Plan::Reply(reply) => {
                self.flush().await?;
                self.reply(&reply);
            }
            Plan::Close(reply) => {
                self.flush().await?;
                self.reply(&reply);
                self.closing = true;
            }
            Plan::Exec(exec) => {
                self.flush().await?;
                let reply = self.exec(exec).await;
                self.reply(&reply);
            }
            Plan::Watch(keys) => {
                self.flush().await?;
                let reply = self.watch(keys).await;
                self.reply(&reply);
            }
            Plan::Admin(verb) => {
                self.flush().await?;
                let reply = Box::pin(admin::carry_out(&self.server, &self.client, verb)).await;
                self.reply(&reply);
            }
        }
        Ok(())
    }

    async fn join_writes(&mut self, command: &'static Command, item: Item) -> io::Result<()> {
        if !matches!(self.run, Run::Writes(_)) {
            self.flush().await?;
            self.run = Run::Writes(Writes::default());
        }
        let Run::Writes(writes) = &mut self.run else { return Ok(()) };
        writes.push(command, item);
        if writes.is_full() { self.flush().await } else { Ok(()) }
    }

    async fn join_reads(&mut self, query: Query) -> io::Result<()> {
        if !matches!(self.run, Run::Reads(_)) {
            self.flush().await?;
            self.run = Run::Reads(Reads::default());
        }
        let Run::Reads(reads) = &mut self.run else { return Ok(()) };
        reads.push(query);
        if reads.is_full() { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.flush_as(self.session.protocol()).await
    }

    /// Carries out the requests gathered so far and encodes their replies.
    async fn flush_as(&mut self, protocol: Protocol) -> io::Result<()> {
        match std::mem::replace(&mut self.run, Run::Empty) {
            Run::Empty => Ok(()),
            Run::Writes(writes) => {
                self.write_run(writes, protocol).await;
                Ok(())
            }
            Run::Reads(reads) => self.read_run(&reads.queries, protocol).await,
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
        let commands = writes.commands.iter().copied();
        self.account_run(commands, each, |at| writes.items.get(at).and_then(words));
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

    async fn read_run(&mut self, queries: &[Query], protocol: Protocol) -> io::Result<()> {
        let begun = now();
        let mut rest = queries;
        while !rest.is_empty() {
            let (answered, left_out) = self.read_some(rest, protocol).await;
            rest = rest.get(answered..).unwrap_or_default();
            // No room for the reply to the next one: those before it must be taken first.
            if left_out > 0 && !self.wire.make_room(left_out).await? {
                self.encode(&Reply::Error(no_room()), protocol);
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        let each = begun.elapsed() / queries.len().max(1) as u32;
        let commands = queries.iter().map(|query| query.command);
        self.account_run(commands, each, |at| queries.get(at).map(|query| query.request.clone()));
        Ok(())
    }

    /// Answers queries until there is no room for a reply; how many, and the size of the reply
    /// that was left out.
    async fn read_some(&mut self, queries: &[Query], protocol: Protocol) -> (usize, usize) {
        let replica = self.server.replica.load_full();
        let Self { server, wire, .. } = self;
        let (mut answered, mut left_out) = (0, 0);
        reads::run(&replica, &server.telemetry, queries, |query, reply| {
            let start = wire.output.len();
            encode(server, reply, protocol, &mut wire.output);
            let end = wire.output.len();
            if !wire.admit(start) {
                left_out = end - start;
                return false;
            }
            if reply.is_error() {
                server.telemetry.failed(query.command.id);
            }
            answered += 1;
            true
        })
        .await;
        (answered, left_out)
    }

    async fn exec(&mut self, exec: Exec) -> Reply {
        let begun = now();
        let logged = match &exec.item {
            Some(item) if Mutant::TransactionAsTwoEntries.is_on() => {
                Some(self.write_halves(item).await)
            }
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
        let replies = exec.splice(logged, local);
        self.account_exec(&exec.commands, &replies, begun.elapsed());
        Reply::Array(replies)
    }

    /// What [`Mutant::TransactionAsTwoEntries`] does.
    async fn write_halves(&mut self, item: &Item) -> Reply {
        let (first, second) = item.requests.split_at(item.requests.len() / 2);
        let half = |requests: &[_]| Item { requests: requests.to_vec(), ..item.clone() };
        let rest = Item { watches: Vec::new(), ..half(second) };
        let mut replies = Vec::new();
        for item in [half(first), rest] {
            match self.write(&[item]).await.pop() {
                Some(Reply::Array(more)) => replies.extend(more),
                other => return other.unwrap_or(Reply::NullArray),
            }
        }
        Reply::Array(replies)
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
        commands: impl Iterator<Item = &'static Command> + Clone,
        each: Duration,
        words: impl Fn(usize) -> Option<Request>,
    ) {
        let mut rest = commands.clone().peekable();
        while let Some(first) = rest.next() {
            let more = std::iter::from_fn(|| rest.next_if(|next| next.id == first.id)).count();
            self.server.telemetry.executed(first.id, each, 1 + more);
        }
        if self.server.slowlog.is_slow(each.as_micros() as u64) {
            for (at, command) in commands.enumerate() {
                self.note_if_slow(command, &words(at).unwrap_or_default(), each);
            }
        }
    }

    fn account_spent(&self, spent: &Spent, took: Duration) {
        let Spent { command, request, ending } = spent;
        let telemetry = &self.server.telemetry;
        if *ending == Ending::Rejected {
            return telemetry.rejected(command.id);
        }
        telemetry.executed(command.id, took, 1);
        if *ending == Ending::Failed {
            telemetry.failed(command.id);
        }
        self.note_if_slow(command, request, took);
    }

    /// Counts the requests of a transaction, of which each has taken its share of the time.
    fn account_exec(&self, commands: &[&'static Command], replies: &[Reply], took: Duration) {
        let telemetry = &self.server.telemetry;
        let each = took / commands.len().max(1) as u32;
        for (command, reply) in commands.iter().zip(replies) {
            telemetry.executed(command.id, each, 1);
            if reply.is_error() {
                telemetry.failed(command.id);
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
        encode(&self.server, reply, protocol, &mut self.wire.output);
    }
}

fn encode(server: &Server, reply: &Reply, protocol: Protocol, output: &mut BytesMut) {
    if let Reply::Error(error) = reply {
        server.telemetry.error(&error.to_string());
    }
    resp::encode(reply, protocol, output);
}

/// Whether this is no request of Redis's, but a line of one of HTTP.
fn is_http(request: &[Bytes]) -> bool {
    let is = |name: &[u8]| request.first().is_some_and(|word| word.eq_ignore_ascii_case(name));
    is(b"POST") || is(b"Host:")
}

/// What a request or its reply hears that found no room in time.
fn no_room() -> ReplyError {
    ReplyError::Busy("clients hold too much: limits.clients_bytes_max".into())
}

fn decoder(server: &Server) -> Decoder {
    let mut decoder = Decoder::new(server.config.resp_limits());
    decoder.set_authenticated(!server.requires_password());
    decoder
}
