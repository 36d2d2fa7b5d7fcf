//! What clients of Redis Cluster ask and say.

use bytes::Bytes;
use resp::{Reply, ReplyError};

use super::command::{Command, Local, Parse, exactly};
use super::errors::refuse;
use super::hints::{Category, Group};
use super::introspection::Help;
use super::verbs::{AdminVerb, ClusterVerb, SessionVerb};
use super::{Args, Arity, Result};

const CHANGES: &[&str] = &["nondeterministic_output"];
const N_NODES: &str = "O(N) where N is the number of nodes";
/// As many as Redis Cluster has.
const SLOTS: u16 = 16_384;

static CLUSTER: &[Command] = &Command::family(
    Group::Cluster,
    [
        ask("cluster|countkeysinslot", exactly(3), |args| {
            let slot = slot(args, "ERR Invalid slot")?;
            Ok(AdminVerb::Cluster(ClusterVerb::CountKeysInSlot(slot)))
        })
        .docs("3.0.0", "O(1)", "Returns how many keys a slot has.", "slot:integer"),
        ask("cluster|getkeysinslot", exactly(4), keys_in_slot).tips(CHANGES).docs(
            "3.0.0",
            "O(log(N)) where N is the number of keys asked for",
            "Returns some keys of a slot.",
            "slot:integer count:integer",
        ),
        Command::local::<Help>("cluster|help", exactly(2)).any_time().docs(
            "5.0.0",
            "O(1)",
            "Prints this help.",
            "",
        ),
        ask("cluster|info", exactly(2), |_| Ok(AdminVerb::Cluster(ClusterVerb::Info)))
            .tips(CHANGES)
            .docs("3.0.0", "O(1)", "Describes the state of the cluster.", ""),
        Command::local::<KeySlot>("cluster|keyslot", exactly(3)).stale().docs(
            "3.0.0",
            "O(N) where N is the length of the key",
            "Returns the slot of a key.",
            "key:string",
        ),
        ask("cluster|links", exactly(2), |_| Ok(AdminVerb::Cluster(ClusterVerb::Links)))
            .tips(CHANGES)
            .docs("7.0.0", N_NODES, "Lists the links between nodes.", ""),
        ask("cluster|myid", exactly(2), |_| Ok(AdminVerb::Cluster(ClusterVerb::MyId))).docs(
            "3.0.0",
            "O(1)",
            "Returns the id of the node.",
            "",
        ),
        ask("cluster|myshardid", exactly(2), |_| Ok(AdminVerb::Cluster(ClusterVerb::MyShardId)))
            .tips(CHANGES)
            .docs("7.2.0", "O(1)", "Returns the id of the shard of the node.", ""),
        ask("cluster|nodes", exactly(2), |_| Ok(AdminVerb::Cluster(ClusterVerb::Nodes)))
            .tips(CHANGES)
            .docs("3.0.0", N_NODES, "Lists the nodes.", ""),
        ask("cluster|replicas", exactly(3), replicas).for_admins().tips(CHANGES).docs(
            "5.0.0",
            "O(N) where N is the number of replicas",
            "Lists the replicas of a node.",
            "node-id",
        ),
        ask("cluster|shards", exactly(2), |_| Ok(AdminVerb::Cluster(ClusterVerb::Shards)))
            .tips(CHANGES)
            .docs("7.0.0", N_NODES, "Lists the shards, their slots and their nodes.", ""),
        ask("cluster|slaves", exactly(3), replicas)
            .for_admins()
            .tips(CHANGES)
            .deprecated("5.0.0", "`CLUSTER REPLICAS`")
            .docs(
                "3.0.0",
                "O(N) where N is the number of replicas",
                "Lists the replicas of a node.",
                "node-id",
            ),
        ask("cluster|slots", exactly(2), |_| Ok(AdminVerb::Cluster(ClusterVerb::Slots)))
            .tips(CHANGES)
            .deprecated("7.0.0", "`CLUSTER SHARDS`")
            .docs("3.0.0", N_NODES, "Lists the slots and who serves them.", ""),
    ],
);

pub(super) static TABLE: &[Command] = &Command::family(
    Group::Cluster,
    [
        Command::session("asking", exactly(1), |_| Ok(SessionVerb::Asking))
            .fast()
            .category(Category::Connection)
            .docs("3.0.0", "O(1)", "Says that the client was sent here by -ASK.", ""),
        Command::container("cluster", CLUSTER).docs(
            "3.0.0",
            "Depends on subcommand.",
            "Tells clients where keys are.",
            "",
        ),
        Command::session("readonly", exactly(1), |_| Ok(SessionVerb::ReadOnly))
            .any_time()
            .fast()
            .category(Category::Connection)
            .docs("3.0.0", "O(1)", "Lets replicas answer reads, however late they are.", ""),
        Command::session("readwrite", exactly(1), |_| Ok(SessionVerb::ReadWrite))
            .any_time()
            .fast()
            .category(Category::Connection)
            .docs("3.0.0", "O(1)", "Takes READONLY back.", ""),
    ],
);

const fn ask(
    name: &'static str,
    arity: Arity,
    parse: fn(&mut Args<'_>) -> Result<AdminVerb, ReplyError>,
) -> Command {
    Command::admin(name, arity, parse).stale()
}

fn slot(args: &mut Args<'_>, otherwise: &'static str) -> Result<u16, ReplyError> {
    let slot = u16::try_from(args.integer()?).ok().filter(|&slot| slot < SLOTS);
    slot.ok_or_else(|| refuse(otherwise))
}

/// CLUSTER GETKEYSINSLOT slot count
fn keys_in_slot(args: &mut Args<'_>) -> Result<AdminVerb, ReplyError> {
    const INVALID: &str = "ERR Invalid slot or number of keys";
    let slot = slot(args, INVALID)?;
    let count = u64::try_from(args.integer()?).map_err(|_| refuse(INVALID))?;
    Ok(AdminVerb::Cluster(ClusterVerb::GetKeysInSlot { slot, count }))
}

/// CLUSTER REPLICAS node-id
fn replicas(args: &mut Args<'_>) -> Result<AdminVerb, ReplyError> {
    Ok(AdminVerb::Cluster(ClusterVerb::Replicas(args.text()?)))
}

/// CLUSTER KEYSLOT key
struct KeySlot {
    key: Bytes,
}

impl Parse for KeySlot {
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError> {
        Ok(Self { key: args.bytes()? })
    }
}

impl Local for KeySlot {
    fn answer(&self) -> Result<Reply, ReplyError> {
        Ok(Reply::count(storage::slot_of(&self.key)))
    }
}
