//! The base everything stands on: the bundled libzmq is the version we configured, with CURVE and draft.

use forebay::net;

#[test]
fn libzmq_is_ours_with_curve_and_draft() {
    let build = net::build();
    assert_eq!(build.version, (4, 3, 5));
    assert!(build.curve, "libzmq was built without CURVE");
    assert!(build.draft, "libzmq was built without its draft interface");
}
