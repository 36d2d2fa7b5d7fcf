//! `# CPU`: processor time.

use super::{Facts, Field, field};
use crate::server::admin::process;

pub(super) fn fields(_: &Facts<'_>) -> Vec<Field> {
    let (whole, main) = (process::cpu_time(), process::main_thread_cpu_time());
    let seconds = |name, seconds: f64| field(name, format_args!("{seconds:.6}"));
    vec![
        seconds("used_cpu_sys", whole.system),
        seconds("used_cpu_user", whole.user),
        seconds("used_cpu_sys_children", whole.system_children),
        seconds("used_cpu_user_children", whole.user_children),
        seconds("used_cpu_sys_main_thread", main.system),
        seconds("used_cpu_user_main_thread", main.user),
    ]
}
