from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_impl.parity.recording.tracing.tags import Tag, evaluate, has_tags, tag, trace


def named(path: str, array: Any, role: str = "output") -> Any:
    return tag(Tag(role, path, 0), array)


def seen_in(function: Any, *arguments: Any) -> tuple[Any, list[tuple[str, Any]]]:
    program, _ = trace(function, *arguments)
    seen: list[tuple[str, Any]] = []

    def visit(found: Tag, array: Any) -> Any:
        seen.append((found.path, np.asarray(array)))
        return array

    return evaluate(program, arguments, visit, roles=["output"])[0], seen


def test_a_tag_changes_nothing() -> None:
    def plain(x: Any) -> Any:
        return jnp.sin(x).sum()

    def tagged(x: Any) -> Any:
        return named("b", jnp.sin(named("a", x))).sum()

    x = jnp.arange(3.0)
    assert tagged(x) == plain(x) == jax.jit(tagged)(x)
    np.testing.assert_array_equal(jax.grad(tagged)(x), jax.grad(plain)(x))
    np.testing.assert_array_equal(jax.vmap(tagged)(x[:, None]), jax.vmap(plain)(x[:, None]))


def test_arrays_inside_jit_remat_and_scan_are_seen_in_order() -> None:
    def function(x: Any) -> Any:
        x = jax.jit(lambda y: named("jit", 2 * y))(x)
        x = jax.checkpoint(lambda y: named("remat", y + 1))(x)
        return jax.lax.scan(lambda y, step: (named("scan", y * step), y), x, jnp.arange(1.0, 4.0))[0]

    result, seen = seen_in(function, jnp.ones(()))
    assert [(path, float(array)) for path, array in seen] == [
        ("jit", 2), ("remat", 3), ("scan", 3), ("scan", 6), ("scan", 18),
    ]  # fmt: skip
    assert float(result) == float(function(jnp.ones(()))) == 18


def test_a_scan_in_reverse_stacks_its_rows_in_place() -> None:
    def function(x: Any) -> Any:
        return jax.lax.scan(lambda y, row: (named("scan", y + row), 10 * y), x, jnp.arange(4.0), reverse=True)[1]

    result, seen = seen_in(function, jnp.ones(()))
    np.testing.assert_array_equal(result, function(jnp.ones(())))
    assert [float(array) for _, array in seen] == [4, 6, 7, 7]


def test_steps_that_do_not_depend_on_each_other_are_one_call() -> None:
    def function(x: Any) -> Any:
        return jax.lax.map(lambda row: named("row", jnp.sin(row) * x[0]), x)

    x = jnp.arange(6.0).reshape(3, 2)
    program, _ = trace(function, x)
    for repeated, shapes in (((), [(3, 2)]), ({1, 3}, [(2,)] * 3)):  # the reference's module is called three times
        seen: list[Any] = []

        def visit(_: Tag, array: Any, seen: list[Any] = seen) -> Any:
            seen.append(array.shape)
            return array + 1

        (result,) = evaluate(program, [x], visit, roles=["output"], repeated=repeated)
        np.testing.assert_allclose(result, function(x) + 1, rtol=1e-6)
        assert seen == shapes


def test_under_vmap_the_batch_is_one_array_and_its_first_axis() -> None:
    _, seen = seen_in(lambda x: jax.vmap(lambda y: named("row", y * 2), in_axes=1)(x), jnp.arange(6.0).reshape(2, 3))
    assert [array.shape for _, array in seen] == [(3, 2)]


def test_an_array_is_replaced_and_gradients_follow() -> None:
    program, _ = trace(lambda x: (named("mask", jnp.ones_like(x), role="mask") * x).sum(), jnp.arange(3.0))

    def masked(x: Any, mask: Any) -> Any:
        return evaluate(program, [x], lambda _tag, _drawn: mask, roles=["mask"])[0]

    mask = jnp.array([0.0, 1.0, 0.0])
    np.testing.assert_array_equal(jax.jit(jax.grad(masked))(jnp.ones(3), mask), mask)


def test_custom_gradients_are_kept_where_nothing_is_tagged() -> None:
    @jax.custom_jvp
    def function(x: Any) -> Any:
        return x

    function.defjvp(lambda primals, tangents: (primals[0], 7.0 * tangents[0]))
    program, _ = trace(lambda x: named("mask", function(x), role="mask"), 1.0)
    assert jax.grad(lambda x: evaluate(program, [x], lambda _, array: array, roles=["mask"])[0])(1.0) == 7.0
    assert has_tags(program)
    assert not has_tags(program, frozenset(["output"]))
