//! Any content of a pack: refused with problems that name its lines, or a rulebook that keeps its promises. Bytes that begin with 0 make
//! a pack that is nearly right, others are the content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vigie_rulebook::testing::{Choices, check_pack, pack};

fuzz_target!(|data: &[u8]| {
    if let Some((0, bytes)) = data.split_first() {
        let mut choices = Choices::new(bytes);
        let content = pack(&mut choices);
        let _ = check_pack(&content, &mut choices);
    } else {
        let content = String::from_utf8_lossy(data);
        let _ = check_pack(&content, &mut Choices::new(data));
    }
});
