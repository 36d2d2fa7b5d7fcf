//! A bank: money moves between accounts, and a read of all of them is one moment.
//!
//! After Jepsen's `bank`. Transfers keep the total and never overdraw, so a read that shows another
//! total has seen half of a transfer, or one was applied half or twice.
//!
//! * `wrong-total`: the balances do not add up to the total.
//! * `negative`: a balance is below nothing.
//! * `missing`: an account is absent, or there are fewer or more than in other reads.

use super::shape::{self, Odd};
use super::{Case, Finding};
use crate::history::{History, Operation, Value};

/// Checks operations `read`; all accounts together always hold `total`.
pub fn check(history: &History, total: i64) -> Finding {
    Case::run("bank", |case| {
        let mut reads = shape::named(history, "read");
        reads.retain(|read| read.ok().is_some());
        if reads.is_empty() {
            case.doubt("no read succeeded");
        }
        let mut accounts = None;
        for read in &reads {
            examine(read, total, &mut accounts, case)?;
        }
        let transfers = shape::named(history, "transfer");
        case.figure(
            "transfers",
            transfers.iter().filter(|transfer| transfer.ok().is_some()).count(),
        );
        case.figure("reads", reads.len());
        Ok(())
    })
}

fn examine(
    read: &Operation<'_>,
    total: i64,
    accounts: &mut Option<usize>,
    case: &mut Case,
) -> Result<(), Odd> {
    let (start, value) = (read.start(), read.value());
    let end = read.ok().unwrap_or(start);
    let balances = shape::list(read, value)?;
    let expected = *accounts.get_or_insert(balances.len());
    if balances.len() != expected || balances.contains(&Value::Nil) {
        let what = format!("the read at {start}, {end} gave {value}, not {expected} balances");
        case.accuse("missing", &[start, end], what);
        return Ok(());
    }
    let mut sum: i128 = 0;
    for balance in balances {
        let balance = shape::int(read, balance)?;
        sum += i128::from(balance);
        if balance < 0 {
            let what = format!("the read at {start}, {end} gave {value}: {balance} is below 0");
            case.accuse("negative", &[start, end], what);
        }
    }
    if sum != i128::from(total) {
        let what = format!("the read at {start}, {end} gave {value}, that is {sum}, not {total}");
        case.accuse("wrong-total", &[start, end], what);
    }
    Ok(())
}
