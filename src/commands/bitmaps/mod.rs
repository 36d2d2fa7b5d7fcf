//! Bitmaps: strings seen as bits, the first byte's highest bit first.

use super::command::{Command, at_least, exactly};
use super::hints::Group;
use super::key_specs;

mod combine;
mod count;
mod field;
mod field_type;
mod find;
mod offsets;
mod single;

use combine::BitOp;
use count::BitCount;
use field::{BitField, BitFieldReadOnly};
use find::BitPos;
use single::{GetBit, SetBit};

const FIELD_SYNTAX: &str = "key [{GET encoding offset:integer | \
     [OVERFLOW {WRAP | SAT | FAIL}] {SET encoding offset:integer value:integer | \
     INCRBY encoding offset:integer increment:integer}}...]";

pub(super) static TABLE: &[Command] = &Command::family(
    Group::Bitmap,
    [
        Command::write::<SetBit>("setbit", exactly(4), key_specs::EDIT).denies_oom().docs(
            "2.2.0",
            "O(1)",
            "Sets or clears one bit and returns what it was.",
            "key offset:integer value:integer",
        ),
        Command::read::<GetBit>("getbit", exactly(3), key_specs::READ).fast().docs(
            "2.2.0",
            "O(1)",
            "Returns one bit.",
            "key offset:integer",
        ),
        Command::read::<BitCount>("bitcount", at_least(2), key_specs::READ).docs(
            "2.6.0",
            "O(N)",
            "Counts the bits that are set.",
            "key [start:integer end:integer [BYTE | BIT]]",
        ),
        Command::read::<BitPos>("bitpos", at_least(3), key_specs::READ).docs(
            "2.8.7",
            "O(N)",
            "Finds the first bit that is set or clear.",
            "key bit:integer [start:integer [end:integer [BYTE | BIT]]]",
        ),
        Command::write::<BitOp>("bitop", at_least(4), key_specs::COMBINE).denies_oom().docs(
            "2.6.0",
            "O(N)",
            "Combines strings bit by bit and stores the result.",
            "{AND | OR | XOR | NOT} destkey:key key...",
        ),
        Command::write::<BitField>("bitfield", at_least(2), key_specs::BITFIELD).denies_oom().docs(
            "3.2.0",
            "O(1) for each operation",
            "Reads and changes integers of any width inside a string.",
            FIELD_SYNTAX,
        ),
        Command::read::<BitFieldReadOnly>("bitfield_ro", at_least(2), key_specs::READ).fast().docs(
            "6.0.0",
            "O(1) for each operation",
            "Reads integers of any width inside a string.",
            "key [{GET encoding offset:integer}...]",
        ),
    ],
);
