"""Rust names as people write them, and the crate a function belongs to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.profiles.names import crate_of, recursion_level, tidy_file, tidy_rust


@pytest.mark.parametrize(
    ("raw", "tidied"),
    [
        ("alloc::vec::Vec<T,A>::push::h0123456789abcdef", "alloc::vec::Vec::push"),
        ("<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop", "<alloc::vec::Vec as core::ops::drop::Drop>::drop"),
        ("core::iter::Iterator::map::<u8, {closure#0}>", "core::iter::Iterator::map"),
        ("app::serve::{{closure}}::{{closure}}", "app::serve::{closure}"),
        ("app::serve::{closure#0}::{closure#12}", "app::serve::{closure}"),
        ("app::serve::{async_fn#0}", "app::serve::{async}"),
        ("app::serve::{async_block_env#3}", "app::serve::{async}"),
        ("core::ops::function::FnOnce::call_once{{vtable.shim}}", "core::ops::function::FnOnce::call_once{shim}"),
        ("<F as core::ops::FnOnce<()>>::call_once::{shim:vtable#0}", "<F as core::ops::FnOnce>::call_once::{shim}"),
        ("_$LT$core..fmt..Arguments$u20$as$u20$core..fmt..Display$GT$::fmt::h0123456789abcdef",
         "<core::fmt::Arguments as core::fmt::Display>::fmt"),
        ("app::prove'2", "app::prove"),
        ("<&T as core::fmt::Debug>::fmt", "<&T as core::fmt::Debug>::fmt"),
        ("<[u8; 32] as app::Hash>::hash", "<[u8; 32] as app::Hash>::hash"),
        ("app::call<fn(u8) -> u8>", "app::call"),
        # the hash is not always last
        ("app::prove::h0123456789abcdef'2", "app::prove"),
        ("app::prove::h0123456789abcdef.llvm.1234567890", "app::prove"),
        ("app::prove::h0123456789abcdef.llvm.1234567890'3", "app::prove"),
        ("app::prove::h0123456789abcdef.cold.1", "app::prove.cold.1"),
        ("app::prove.llvm.77", "app::prove"),
        # which impl a method is of is its name
        ("core::fmt::num::<impl core::fmt::Display for u32>::fmt",
         "core::fmt::num::<impl core::fmt::Display for u32>::fmt"),
        ("core::fmt::num::_$LT$impl$u20$core..fmt..Debug$u20$for$u20$u64$GT$::fmt::h0123456789abcdef",
         "core::fmt::num::<impl core::fmt::Debug for u64>::fmt"),
        ("alloc::slice::<impl [T]>::to_vec::<u8>", "alloc::slice::<impl [T]>::to_vec"),
        ("core::iter::<impl core::iter::IntoIterator for Vec<T>>::into_iter",
         "core::iter::<impl core::iter::IntoIterator for Vec>::into_iter"),
        ("app::run::<(u8, i64), fn(&str) -> bool>", "app::run"),
        ("<(A, B) as app::Pair>::first", "<(A, B) as app::Pair>::first"),
        # not Rust: left alone
        ("std::vector<int, std::allocator<int> >::push_back(int const&)",
         "std::vector<int, std::allocator<int> >::push_back(int const&)"),
        ("std::map<Key, Value*>::find", "std::map<Key, Value*>::find"),
        ("ns::Table<unsigned long>::insert", "ns::Table<unsigned long>::insert"),
        ("boost::asio::detail::scheduler::run(boost::system::error_code&)",
         "boost::asio::detail::scheduler::run(boost::system::error_code&)"),
        ("(anonymous namespace)::Pool<Job>::take", "(anonymous namespace)::Pool<Job>::take"),
        ("ns::Less<Key>::operator()", "ns::Less<Key>::operator()"),
        ("ns::Pool<Job>::~Pool", "ns::Pool<Job>::~Pool"),
        ("std::__1::list<Job>::clear", "std::__1::list<Job>::clear"),
        ("ns::Ring<16ul>::put", "ns::Ring<16ul>::put"),
        ("malloc", "malloc"),
        ("operator<<(std::ostream&)", "operator<<(std::ostream&)"),
        ("main.go", "main.go"),
        ("<built-in method builtins.exec>", "<built-in method builtins.exec>"),
    ],
)  # fmt: skip
def test_a_name_is_tidied(raw: str, tidied: str) -> None:
    assert tidy_rust(raw) == tidied
    assert tidy_rust(tidied) == tidied


@given(st.text(alphabet="<>:{}()[]a b$#'&*->=;,0", max_size=40))
def test_no_name_breaks_it_or_becomes_nothing(name: str) -> None:
    tidied = tidy_rust(name)
    assert bool(tidied) or not name or "::" in name or "$" in name
    crate_of(name)


@pytest.mark.parametrize(
    ("name", "file", "crate"),
    [
        ("serde_json::de::from_str", "", "serde_json"),
        ("<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop", "", "alloc"),
        ("<&mut serde::Value as core::fmt::Debug>::fmt", "", "serde"),
        ("_$LT$core..fmt..Arguments$u20$as$u20$x$GT$::fmt", "", "core"),
        ("alloc", "/rustc/" + "a" * 40 + "/library/alloc/src/alloc.rs", "alloc"),
        ("poll", "/home/x/.cargo/registry/src/index.crates.io-6f17d22bba15001f/tokio-1.40.0/src/task.rs", "tokio"),
        ("handle", "/usr/lib/python3.11/site-packages/aiohttp/web.py", "aiohttp"),
        ("loads", "/usr/lib/python3.11/json/decoder.py", "json"),
        ("serve", "app.py", "app"),
        ("net/http.(*conn).serve", "/usr/local/go/src/net/http/server.go", "net/http"),
        ("runtime.mallocgc", "/usr/local/go/src/runtime/malloc.go", "runtime"),
        ("malloc", "", ""),
    ],
)
def test_the_crate_of_a_function(name: str, file: str, crate: str) -> None:
    assert crate_of(name, file) == crate


def test_paths_lose_what_differs_between_machines() -> None:
    assert tidy_file("/rustc/" + "0" * 40 + "/library/core/src/fmt/mod.rs") == "std:core/src/fmt/mod.rs"
    assert tidy_file("library/core/src/fmt/mod.rs") == "std:core/src/fmt/mod.rs"
    assert tidy_file("/x/registry/src/index-1/serde-1.0.1/src/lib.rs") == "serde-1.0.1/src/lib.rs"
    assert tidy_file("src/main.rs") == "src/main.rs"


def test_the_recursion_level_of_a_callgrind_name() -> None:
    assert recursion_level("fib'2") == ("fib", 2)
    assert recursion_level("fib") == ("fib", 1)
    assert recursion_level("f<'a>") == ("f<'a>", 1)
