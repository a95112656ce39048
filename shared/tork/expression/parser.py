"""From tokens to a syntax tree: a Pratt parser over the table of operators.

Recursion is bounded by the cursor's counters. What can only be decided with a context (is this name known?) is recorded in
the `Expression`, and decided before anything is evaluated.
"""

from __future__ import annotations

import ast

from tork.expression import tree
from tork.expression.cursor import Cursor
from tork.expression.faults import Fault
from tork.expression.functions import FUNCTIONS
from tork.expression.lexer import Kind, Token, tokenize
from tork.expression.limits import Limits
from tork.expression.precedence import (
    AND,
    ARITHMETIC,
    BINARY,
    CHAINED,
    COMPARED,
    COMPARISON,
    LITERALS,
    NEGATABLE,
    PIPE,
    POWER,
    UNARY,
)
from tork.expression.predicates import PREDICATES, Shape
from tork.expression.signature import counted
from tork.expression.tree import Expression


def parse(text: str, limits: Limits) -> Expression:
    """Parse one expression. Raises `Fault`."""
    if len(text) > limits.length:
        raise Fault(f"the expression is longer than {limits.length} characters")
    parser = _Parser(tokenize(text), limits)
    root = parser.whole()
    count, levels = tree.measure(root)
    if count > limits.nodes:
        raise Fault(f"the expression has more than {limits.nodes} parts")
    if levels > limits.depth:
        raise Fault(f"the expression is nested more than {limits.depth} levels deep")
    return Expression(text, root, tuple(parser.names), tuple(parser.reserved), tuple(parser.unknown_functions))


class _Parser(Cursor):
    def __init__(self, tokens: list[Token], limits: Limits) -> None:
        super().__init__(tokens, limits)
        self.names: list[tuple[str, int]] = []
        self.reserved: list[tuple[str, int]] = []
        self.unknown_functions: list[tuple[str, int]] = []
        self._variables: list[str] = []
        self._predicates: list[str] = []

    def whole(self) -> ast.expr:
        if self._ended():
            raise Fault("the expression is empty", self._token.position)
        root = self._sequence()
        if not self._ended():
            raise self._unexpected("the end of the expression or an operator")
        return root

    # Sequences, let and if: where a full expression may start.

    def _sequence(self) -> ast.expr:
        position = self._token.position
        items = [self._full()]
        while self._accept(";"):
            if self._ended() or self._at(")", "}"):
                break
            items.append(self._full())
        return items[0] if len(items) == 1 else tree.Sequence(items, position)

    def _full(self) -> ast.expr:
        self._descend()
        visible = len(self._variables)
        if self._at("let"):
            node = self._let()
        elif self._at("if"):
            node = self._if()
        else:
            node = self._conditional(self._expression(PIPE))
        del self._variables[visible:]
        self._ascend()
        return node

    def _let(self) -> ast.expr:
        start = self._take()
        name = self._token
        if name.kind is not Kind.NAME:
            raise self._unexpected("the name of a variable")
        self._take()
        if name.text in self._variables or name.text in FUNCTIONS or name.text in PREDICATES or name.text in LITERALS:
            raise Fault(f"{name.text} is already declared, choose another name", name.position)
        if name.text == "$env":
            raise Fault("$env can't be declared", name.position)
        self.reserved.append((name.text, name.position))
        self._expect("=")
        value = self._full()
        self._expect(";")
        self._variables.append(name.text)
        return tree.Let(name.text, value, self._sequence(), start.position)

    def _if(self) -> ast.expr:
        start = self._take()
        test = self._full()
        body = self._block()
        self._expect("else")
        if self._at("if"):
            self._descend()
            otherwise = self._if()
            self._ascend()
        else:
            otherwise = self._block()
        return ast.IfExp(test, body, otherwise, lineno=1, col_offset=start.position)

    def _block(self) -> ast.expr:
        self._expect("{")
        node = self._sequence()
        self._expect("}")
        return node

    def _conditional(self, test: ast.expr) -> ast.expr:
        if not self._at("?"):
            return test
        position = self._take().position
        if self._accept(":"):
            return tree.Elvis(test, self._full(), position)
        body = self._full()
        self._expect(":")
        return ast.IfExp(test, body, self._full(), lineno=1, col_offset=test.col_offset)

    # Operators.

    def _expression(self, precedence: int) -> ast.expr:
        self._enter()
        left = self._operand()
        previous = ""
        while self._token.kind is Kind.OPERATOR:
            negated = self._at("not")
            operator = self._tokens[self._next + negated]
            if negated and not (operator.kind is Kind.OPERATOR and operator.text in NEGATABLE):
                break
            binding = BINARY.get(operator.text, -1)
            if binding < precedence:
                break
            self._next += 1 + negated
            if operator.text == "|":
                left = self._pipe(left)
            elif previous == "??" and operator.text != "??":
                raise Fault(f"?? and {operator.text} can't be mixed, use parentheses", operator.position)
            else:
                left = self._binary(left, operator, binding)
            if negated:
                left = ast.UnaryOp(ast.Not(), left, lineno=1, col_offset=operator.position)
            previous = operator.text
        self._leave()
        return left

    def _binary(self, left: ast.expr, operator: Token, binding: int) -> ast.expr:
        text, position = operator.text, operator.position
        if text in CHAINED:
            return self._comparison(left, operator)
        right = self._expression(binding if binding == POWER else binding + 1)
        if text in COMPARED:
            return ast.Compare(left, [COMPARED[text]()], [right], lineno=1, col_offset=position)
        if text in ARITHMETIC:
            return ast.BinOp(left, ARITHMETIC[text](), right, lineno=1, col_offset=position)
        if text == "??":
            values = [*left.values, right] if isinstance(left, tree.Coalesce) else [left, right]
            return tree.Coalesce(values, position)
        connective = ast.And if binding == AND else ast.Or
        joined = left.values if isinstance(left, ast.BoolOp) and isinstance(left.op, connective) else [left]
        return ast.BoolOp(connective(), [*joined, right], lineno=1, col_offset=position)

    def _comparison(self, left: ast.expr, operator: Token) -> ast.expr:
        operators: list[ast.cmpop] = [CHAINED[operator.text]()]
        comparators = [self._expression(COMPARISON + 1)]
        while self._at(*CHAINED):
            operators.append(CHAINED[self._take().text]())
            comparators.append(self._expression(COMPARISON + 1))
        return ast.Compare(left, operators, comparators, lineno=1, col_offset=operator.position)

    def _pipe(self, left: ast.expr) -> ast.expr:
        forced = self._accept("::")
        name = self._token
        if name.kind is not Kind.NAME:
            raise self._unexpected("the name of a function")
        self._take()
        return self._call(name, [left], forced=forced)

    # Operands.

    def _operand(self) -> ast.expr:
        token = self._token
        match token.kind, token.text:
            case Kind.NUMBER, _:
                self._take()
                return ast.Constant(token.value, lineno=1, col_offset=token.position)
            case Kind.NAME, _:
                return self._name()
            case Kind.OPERATOR, ("not" | "!" | "-" | "+"):
                return self._unary()
            case Kind.STRING, _:
                self._take()
                node: ast.expr = ast.Constant(token.value, lineno=1, col_offset=token.position)
            case Kind.POINTER, _:
                node = self._pointer()
            case Kind.OPERATOR, "(":
                node = self._group()
            case Kind.OPERATOR, "[":
                node = self._list()
            case Kind.OPERATOR, "{":
                node = self._map()
            case Kind.OPERATOR, "::":
                node = self._forced_call()
            case Kind.OPERATOR, "." if self._predicates:
                node = tree.Pointer("", token.position)
            case _:
                raise self._unexpected("a value")
        return self._postfix(node)

    def _forced_call(self) -> ast.expr:
        self._take()
        if self._token.kind is not Kind.NAME:
            raise self._unexpected("the name of a function")
        return self._call(self._take(), [], forced=True)

    def _unary(self) -> ast.expr:
        token = self._take()
        precedence, operator = UNARY[token.text]
        self._descend()
        operand = self._expression(precedence)
        self._ascend()
        return ast.UnaryOp(operator(), operand, lineno=1, col_offset=token.position)

    def _group(self) -> ast.expr:
        self._take()
        node = self._sequence()
        self._expect(")")
        return node

    def _name(self) -> ast.expr:
        token = self._take()
        if token.text in LITERALS:
            return ast.Constant(LITERALS[token.text], lineno=1, col_offset=token.position)
        if self._at("("):
            return self._postfix(self._call(token, [], forced=False))
        if token.text == "$env":
            return self._postfix(tree.Environment(token.position))
        if token.text in self._variables:
            return self._postfix(tree.Variable(token.text, token.position))
        self.names.append((token.text, token.position))
        return self._postfix(ast.Name(token.text, ast.Load(), lineno=1, col_offset=token.position))

    def _pointer(self) -> ast.expr:
        token = self._take()
        name = token.text[1:]
        allowed = {"map": ("", "index"), "reduce": ("", "index", "acc")}
        if not self._predicates:
            raise Fault(f"{token.text} has a meaning only inside a predicate", token.position)
        if name not in allowed.get(self._predicates[-1], ("",)):
            raise Fault(f"{token.text} has no meaning in {self._predicates[-1]}", token.position)
        return tree.Pointer(name, token.position)

    def _list(self) -> ast.expr:
        start = self._take()
        items: list[ast.expr] = []
        while not self._at("]"):
            items.append(self._full())
            if not self._accept(","):
                break
        self._expect("]")
        return ast.List(items, ast.Load(), lineno=1, col_offset=start.position)

    def _map(self) -> ast.expr:
        start = self._take()
        keys: list[ast.expr | None] = []
        values: list[ast.expr] = []
        while not self._at("}"):
            keys.append(self._key())
            self._expect(":")
            values.append(self._full())
            if not self._accept(","):
                break
        self._expect("}")
        return ast.Dict(keys, values, lineno=1, col_offset=start.position)

    def _key(self) -> ast.expr:
        if self._at("("):
            return self._full()
        token = self._token
        if token.kind not in {Kind.NAME, Kind.NUMBER, Kind.STRING}:
            raise self._unexpected("a key (a name, a number, a string or an expression in parentheses)")
        self._take()
        key = token.value if token.kind is Kind.STRING else token.text
        return ast.Constant(key, lineno=1, col_offset=token.position)

    # What follows an operand.

    def _postfix(self, node: ast.expr) -> ast.expr:
        chained = False
        while True:
            if self._at(".", "?."):
                start = self._take()
                optional = start.text == "?."
                node = self._access(node.body if chained and isinstance(node, tree.Chain) else node, optional)
                chained = chained or optional
                if chained:
                    node = tree.Chain(node, start.position)
            elif self._at("["):
                node = self._index(node, self._take().position)
                chained = False
            else:
                return node

    def _access(self, node: ast.expr, optional: bool) -> ast.expr:
        token = self._token
        if optional and self._accept("["):
            key = self._full()
            self._expect("]")
            return tree.OptionalIndex(node, key, token.position)
        if not (token.kind is Kind.NAME or (token.kind is Kind.OPERATOR and token.text.isalpha())):
            raise self._unexpected("the name of a property")
        self._take()
        if self._at("("):
            return tree.Method(node, token.text, self._arguments(), optional, token.position)
        if isinstance(node, tree.Environment) and not optional:
            self.names.append((token.text, token.position))
        return tree.Member(node, token.text, optional, token.position)

    def _index(self, node: ast.expr, position: int) -> ast.expr:
        lower = None if self._at(":") else self._full()
        if self._accept(":"):
            upper = None if self._at("]") else self._full()
            self._expect("]")
            return ast.Subscript(node, ast.Slice(lower, upper), ast.Load(), lineno=1, col_offset=position)
        self._expect("]")
        assert lower is not None
        if isinstance(node, tree.Environment) and isinstance(lower, ast.Constant) and isinstance(lower.value, str):
            self.names.append((lower.value, lower.col_offset))
        return ast.Subscript(node, lower, ast.Load(), lineno=1, col_offset=position)

    def _call(self, name: Token, arguments: list[ast.expr], *, forced: bool) -> ast.expr:
        if name.text in self._variables and not forced:
            raise Fault(f"{name.text} is not a function", name.position)
        if not forced:
            self.reserved.append((name.text, name.position))
        if name.text in PREDICATES:
            return self._predicate_call(name, PREDICATES[name.text], arguments)
        arguments = arguments + self._arguments()
        function = FUNCTIONS.get(name.text)
        if function is None:
            self.unknown_functions.append((name.text, name.position))
        elif len(arguments) < function.least or (function.most is not None and len(arguments) > function.most):
            raise Fault(f"{name.text} {counted(function.least, function.most)}", name.position)
        callee = ast.Name(name.text, ast.Load(), lineno=1, col_offset=name.position)
        return ast.Call(callee, arguments, [], lineno=1, col_offset=name.position)

    def _arguments(self) -> list[ast.expr]:
        self._expect("(")
        arguments: list[ast.expr] = []
        while not self._at(")"):
            arguments.append(self._full())
            if not self._accept(","):
                break
        self._expect(")")
        return arguments

    def _predicate_call(self, name: Token, shape: Shape, arguments: list[ast.expr]) -> ast.expr:
        self._expect("(")
        parts: list[ast.expr] = list(arguments)
        while not self._at(")"):
            parts.append(self._predicate(name.text) if len(parts) == 1 else self._full())
            if not self._accept(","):
                break
        self._expect(")")
        if not shape.least <= len(parts) <= shape.most:
            raise Fault(f"{name.text} {counted(shape.least, shape.most)}", name.position)
        body = parts[1] if len(parts) > 1 else None
        extra = parts[2] if len(parts) > 2 else None
        return tree.Predicate(name.text, parts[0], body, extra, name.position)

    def _predicate(self, name: str) -> ast.expr:
        self._predicates.append(name)
        node = self._block() if self._at("{") else self._full()
        self._predicates.pop()
        return node
