//! What a session does about itself.

use bytes::Bytes;
use resp::{Protocol, Reply, ReplyError};

use super::{Gatekeeper, Plan, Session};
use crate::commands::verbs::{ReplyMode, SessionVerb};
use crate::server::REDIS_VERSION;

impl Session {
    /// Carries out a request that concerns the connection alone.
    ///
    /// # Errors
    /// What the client is told when it may not.
    pub fn carry_out(
        &mut self,
        verb: SessionVerb,
        gate: &dyn Gatekeeper,
    ) -> Result<Plan, ReplyError> {
        use SessionVerb as Verb;
        match verb {
            Verb::Multi => return self.begin(),
            Verb::Exec => return self.exec(),
            Verb::Discard => return self.discard(),
            Verb::Watch { keys } => return self.plan_watch(keys),
            Verb::Unwatch => self.watches.clear(),
            Verb::Select(db) => self.db = db,
            Verb::Hello { version, auth, name } => return self.hello(version, auth, name, gate),
            Verb::Auth { user, password } => self.auth(user, &password, gate)?,
            Verb::Quit => return Ok(Plan::Close(Reply::OK)),
            Verb::Reset => return Ok(self.reset(gate)),
            Verb::ClientSetName(name) => self.client.set_name(&name)?,
            Verb::ClientGetName => return Ok(reply(self.client.name_reply())),
            Verb::ClientId => return Ok(reply(Reply::Integer(self.client.id() as i64))),
            Verb::ClientInfo => return Ok(reply(self.client.info_reply())),
            Verb::ClientReply(mode) => return Ok(self.set_reply_mode(mode)),
            Verb::ClientSetInfo { fact, value } => self.client.set_info(fact, &value)?,
            Verb::ClientGetRedir => return Ok(reply(Reply::Integer(-1))),
            Verb::ClientNoEvict(_) | Verb::ClientNoTouch(_) => {}
            Verb::ReadOnly | Verb::ReadWrite | Verb::Asking => {}
        }
        Ok(Plan::Reply(Reply::OK))
    }

    fn plan_watch(&mut self, keys: Vec<Bytes>) -> Result<Plan, ReplyError> {
        if self.transaction.is_some() {
            return Err(ReplyError::WatchInsideMulti);
        }
        Ok(Plan::Watch(keys))
    }

    fn set_reply_mode(&mut self, mode: ReplyMode) -> Plan {
        // OFF and SKIP answer nothing themselves.
        self.reply_mode = mode;
        self.skips_left = 2;
        Plan::Reply(Reply::OK)
    }

    fn reset(&mut self, gate: &dyn Gatekeeper) -> Plan {
        self.transaction = None;
        self.watches.clear();
        self.db = 0;
        self.protocol = Protocol::Resp2;
        self.reply_mode = ReplyMode::On;
        self.authenticated = !gate.requires_password();
        self.client.forget_name();
        self.client.set_protocol(self.protocol);
        Plan::Reply(Reply::Simple("RESET".into()))
    }

    fn auth(
        &mut self,
        user: Option<Bytes>,
        password: &[u8],
        gate: &dyn Gatekeeper,
    ) -> Result<(), ReplyError> {
        if user.is_none() && !gate.requires_password() {
            return Err(ReplyError::NoPasswordSet);
        }
        if !gate.admits(user.as_deref().unwrap_or(b"default"), password) {
            return Err(ReplyError::WrongPass);
        }
        self.authenticated = true;
        Ok(())
    }

    fn hello(
        &mut self,
        version: Option<u8>,
        auth: Option<(Bytes, Bytes)>,
        name: Option<Bytes>,
        gate: &dyn Gatekeeper,
    ) -> Result<Plan, ReplyError> {
        if let Some((user, password)) = auth {
            self.auth(Some(user), &password, gate)?;
        }
        if !self.authenticated {
            return Err(ReplyError::HelloNoAuth);
        }
        if let Some(name) = name {
            self.client.set_name(&name)?;
        }
        match version {
            Some(3) => self.protocol = Protocol::Resp3,
            Some(_) => self.protocol = Protocol::Resp2,
            None => {}
        }
        self.client.set_protocol(self.protocol);
        Ok(reply(self.greeting(gate.role())))
    }

    fn greeting(&self, role: &'static str) -> Reply {
        let version = if self.protocol == Protocol::Resp3 { 3 } else { 2 };
        let facts = [
            ("server", Reply::bulk("redis")),
            ("version", Reply::bulk(REDIS_VERSION)),
            ("proto", Reply::Integer(version)),
            ("id", Reply::Integer(self.client.id() as i64)),
            ("mode", Reply::bulk("standalone")),
            ("role", Reply::bulk(role)),
            ("modules", Reply::Array(Vec::new())),
        ];
        Reply::Map(facts.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect())
    }
}

fn reply(reply: Reply) -> Plan {
    Plan::Reply(reply)
}
