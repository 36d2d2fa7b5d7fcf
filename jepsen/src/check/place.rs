//! Where in a history an operation is, for people.

use crate::history::{Operation, Process};

/// Such as `events 17-21, process 3, node 2:`; `17-?` if it never completed.
pub(crate) fn place(operation: &Operation<'_>) -> String {
    let invoked = operation.invoked;
    let end = operation.completed.map_or("?".to_owned(), |event| event.index.to_string());
    let process = match invoked.process {
        Process::Client(number) => number.to_string(),
        Process::Nemesis => "nemesis".to_owned(),
    };
    let node = operation.completed.and_then(|event| event.node).or(invoked.node);
    let node = node.map_or(String::new(), |node| format!(", node {node}"));
    format!("events {}-{end}, process {process}{node}:", invoked.index)
}
