"""Evaluating a parsed expression: simpleeval's evaluator with every handler, operator and function replaced.

What stays is its shape: a table from node class to handler, where a class without handler is refused. One evaluator
belongs to each thread, because building simpleeval's tables costs more than most expressions.
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable, Mapping
from typing import Any

from simpleeval import EvalWithCompoundTypes, InvalidExpression

from tork.expression import tree
from tork.expression.access import MISSING, cut, entry, index
from tork.expression.conversions import call_method
from tork.expression.faults import Fault
from tork.expression.functions import FUNCTIONS
from tork.expression.kinds import as_list, kind
from tork.expression.limits import DEFAULT_LIMITS, Budget, Limits
from tork.expression.operators import BINARY, UNARY, truth
from tork.expression.predicates import NOTHING, PREDICATES, Run
from tork.expression.result import check_result
from tork.expression.tree import Expression

STRING_MAPS = ("inputs", "secrets", "tasks", "job")
# context values in which a missing key reads as ""

UNFORESEEN = (
    ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError, InvalidExpression,
)  # fmt: skip
# what Python or simpleeval could still raise for an odd value; a RecursionError is a RuntimeError


class _Skip(Exception):
    """A nil stood before a `?.`."""


def run(expression: Expression, context: Mapping[str, Any], limits: Limits) -> Any:
    """The value of the expression in the context. Raises `Fault`, and nothing else."""
    check_names(expression, context)
    evaluator = getattr(_local, "evaluator", None)
    if evaluator is None:
        evaluator = _local.evaluator = Evaluator()
    try:
        value = evaluator.run(expression.root, context, limits)
        return check_result(value, limits)
    except RecursionError as error:
        raise Fault("the value is nested too deeply") from error
    except UNFORESEEN as error:
        raise Fault(f"the expression can't be evaluated ({type(error).__name__})") from error


_local = threading.local()


def check_names(expression: Expression, context: Mapping[str, Any]) -> None:
    """Names are checked before anything is evaluated, so also in branches that would not run."""
    for name, position in expression.names:
        if name not in context:
            raise Fault(f"unknown name {name}", position)
    for name, position in expression.unknown_functions:
        raise Fault(f"unknown function {name}", position)
    for name, position in expression.reserved:
        if name in context:
            raise Fault(f"{name} is a value of the context, not a function or a new variable", position)


class Evaluator(EvalWithCompoundTypes):  # type: ignore[misc] # simpleeval has no types
    """Evaluates one tree at a time. What an evaluation needs is set by `run` and dropped at its end."""

    def __init__(self) -> None:
        super().__init__(operators={}, functions={}, names={})
        self.functions: dict[str, Any] = {}  # the base class adds some; none of them is reachable
        self.nodes: dict[type[ast.AST], Callable[[Any], Any]] = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.List: self._eval_list,
            ast.Dict: self._map,
            ast.UnaryOp: self._unary,
            ast.BinOp: self._binary,
            ast.BoolOp: self._connective,
            ast.Compare: self._compare,
            ast.IfExp: self._conditional,
            ast.Call: self._call,
            ast.Subscript: self._subscript,
            tree.Variable: self._variable,
            tree.Pointer: self._pointer,
            tree.Environment: self._environment,
            tree.Let: self._let,
            tree.Sequence: self._sequence,
            tree.Coalesce: self._coalesce,
            tree.Elvis: self._elvis,
            tree.Member: self._member,
            tree.OptionalIndex: self._optional_index,
            tree.Method: self._method,
            tree.Chain: self._chain,
            tree.Predicate: self._predicate,
        }
        self._clear()

    def _clear(self) -> None:
        self.names: dict[str, Any] = {}
        self._budget = Budget(DEFAULT_LIMITS)
        self._variables: dict[str, Any] = {}
        self._pointers: tuple[Any, int, Any] = (None, 0, None)

    def run(self, root: ast.expr, context: Mapping[str, Any], limits: Limits) -> Any:
        """The value of the tree. The evaluator keeps nothing of the context, which may hold secrets."""
        self.names = context if type(context) is dict else dict(context)
        self._budget = Budget(limits)
        try:
            return self.eval("", previously_parsed=root)
        finally:
            self._clear()

    def _eval(self, node: Any) -> Any:
        budget = self._budget
        budget.steps -= 1
        try:
            if budget.steps < 0:
                budget.spend(0)
            return self.nodes[type(node)](node)
        except Fault as fault:
            if fault.position is None:
                fault.position = node.col_offset
            raise

    # Values and names.

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _name(self, node: ast.Name) -> Any:
        return self.names[node.id]

    def _variable(self, node: tree.Variable) -> Any:
        return self._variables[node.name]

    def _pointer(self, node: tree.Pointer) -> Any:
        return self._pointers[("", "index", "acc").index(node.name)]

    def _environment(self, _node: tree.Environment) -> Any:
        return self.names

    def _map(self, node: ast.Dict) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in zip(node.keys, node.values, strict=True):
            key = self._eval(key_node)
            if type(key) is not str:
                raise Fault(f"a map key must be a string, not {kind(key)}", getattr(key_node, "col_offset", None))
            result[key] = self._eval(value_node)
        return result

    def _let(self, node: tree.Let) -> Any:
        self._variables[node.name] = self._eval(node.value)
        return self._eval(node.body)

    def _sequence(self, node: tree.Sequence) -> Any:
        value = None
        for item in node.items:
            value = self._eval(item)
        return value

    # Operators.

    def _unary(self, node: ast.UnaryOp) -> Any:
        return UNARY[type(node.op)](self._eval(node.operand))

    def _binary(self, node: ast.BinOp) -> Any:
        pending = [node]
        while isinstance(pending[-1].left, ast.BinOp):
            pending.append(pending[-1].left)
        value = self._eval(pending[-1].left)
        for step in reversed(pending):
            self._budget.steps -= 1
            right = self._eval(step.right)
            value = self._apply(step, value, right)
        return value

    def _apply(self, node: ast.BinOp, left: Any, right: Any) -> Any:
        try:
            return BINARY[type(node.op)](left, right, self._budget)
        except Fault as fault:
            fault.position = node.col_offset
            raise

    def _compare(self, node: ast.Compare) -> bool:
        left = self._eval(node.left)
        for operator, comparator in zip(node.ops, node.comparators, strict=True):
            right = self._eval(comparator)
            if not BINARY[type(operator)](left, right, self._budget):
                return False
            left = right
        return True

    def _truth(self, node: ast.expr, user: str) -> bool:
        value = self._eval(node)
        try:
            return truth(value, user)
        except Fault as fault:
            fault.position = node.col_offset
            raise

    def _connective(self, node: ast.BoolOp) -> bool:
        decisive = isinstance(node.op, ast.Or)
        name = "or" if decisive else "and"
        return decisive if any(self._truth(value, name) is decisive for value in node.values) else not decisive

    def _conditional(self, node: ast.IfExp) -> Any:
        return self._eval(node.body if self._truth(node.test, "a condition") else node.orelse)

    def _elvis(self, node: tree.Elvis) -> Any:
        return True if self._truth(node.test, "?:") else self._eval(node.otherwise)

    def _coalesce(self, node: tree.Coalesce) -> Any:
        value = None
        for item in node.values:
            value = self._eval(item)
            if value is not None:
                break
        return value

    # Access.

    def _member(self, node: tree.Member) -> Any:
        value = self._eval(node.value)
        if value is None and node.optional:
            raise _Skip
        found = entry(value, node.key)
        return self._absent(value, node.optional) if found is MISSING else found

    def _optional_index(self, node: tree.OptionalIndex) -> Any:
        value = self._eval(node.value)
        if value is None:
            raise _Skip
        found = index(value, self._eval(node.key))
        return self._absent(value, True) if found is MISSING else found

    def _subscript(self, node: ast.Subscript) -> Any:
        value = self._eval(node.value)
        if isinstance(node.slice, ast.Slice):
            lower = self._eval(node.slice.lower) if node.slice.lower is not None else MISSING
            upper = self._eval(node.slice.upper) if node.slice.upper is not None else MISSING
            return cut(value, lower, upper, self._budget)
        found = index(value, self._eval(node.slice))
        return self._absent(value, False) if found is MISSING else found

    def _absent(self, container: Any, optional: bool) -> Any:
        """What a key that is not there reads as."""
        if container is self.names:
            if optional:
                return None
            raise Fault("there is no such value in the context")
        if any(container is self.names.get(name) for name in STRING_MAPS):
            return ""
        return None

    def _method(self, node: tree.Method) -> Any:
        value = self._eval(node.value)
        if value is None and node.optional:
            raise _Skip
        return call_method(value, node.name, [self._eval(argument) for argument in node.arguments], self._budget)

    def _chain(self, node: tree.Chain) -> Any:
        try:
            return self._eval(node.body)
        except _Skip:
            return None

    # Calls.

    def _call(self, node: ast.Call) -> Any:
        assert isinstance(node.func, ast.Name)
        function = FUNCTIONS[node.func.id]
        arguments = [self._eval(argument) for argument in node.args]
        budget = self._budget
        if not function.instant:
            for argument in arguments:
                if type(argument) is str:
                    budget.spend(len(argument) >> 8)
                elif type(argument) is list or type(argument) is dict:
                    budget.spend(len(argument) >> 2)
        if function.budgeted:
            return function.call(budget, *arguments)
        value = function.call(*arguments)
        if type(value) is str:
            budget.copy_text(len(value))
        elif type(value) is list:
            budget.make_elements(len(value))
        return value

    def _predicate(self, node: tree.Predicate) -> Any:
        elements = as_list(self._eval(node.collection), node.name)
        extra = NOTHING if node.extra is None else self._eval(node.extra)
        body = node.body
        if body is None:
            self._budget.spend(len(elements) >> 1)

        def value(element: Any, number: int, accumulator: Any) -> Any:
            if body is None:
                return element
            self._pointers = (element, number, accumulator)
            return self._eval(body)

        def test(element: Any) -> bool:
            found = value(element, 0, None)
            try:
                return truth(found, f"the predicate of {node.name}")
            except Fault as fault:
                fault.position = node.col_offset if body is None else body.col_offset
                raise

        outer = self._pointers
        try:
            return PREDICATES[node.name].call(Run(elements, value, test, extra, self._budget))
        finally:
            self._pointers = outer
