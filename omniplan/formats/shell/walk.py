"""One text of a shell script in one scope: its statements, walked as a shell would run them, every branch once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from omniplan.formats.contents import Written
from omniplan.formats.launchers import started
from omniplan.formats.programs import Launched, Scripts, base_name, command_of
from omniplan.formats.shell.builtins import BUILTINS, added, said
from omniplan.formats.shell.expand import Expander
from omniplan.formats.shell.scope import Function, Scope, Variable
from omniplan.formats.traced import Source, Traced

if TYPE_CHECKING:
    from tree_sitter import Node

    from omniplan.formats.shell.script import Reader

# A tree made to do harm ends here.
_DEPTH: Final = 120
_SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ssh"})
_WRITERS: Final = frozenset({"cat", "tee"})
_TO_FILE: Final = "file_redirect"
_NO_WORDS: Final = frozenset({"variable_assignment", _TO_FILE, "herestring_redirect", "heredoc_redirect", "comment"})


class Walk:
    """One text in one scope."""

    def __init__(self, reader: Reader, source: Source, scope: Scope) -> None:
        self._reader, self._source, self._scope = reader, source, scope

    @property
    def _expander(self) -> Expander:
        return Expander(self._source, self._scope, self._output)

    def _text(self, node: Node | None) -> str:
        return self._source.text[node.start_byte : node.end_byte] if node else ""

    def block(self, node: Node, depth: int) -> None:
        """Statements one after another."""
        before: Node | None = None
        for child in node.children:
            if child.type == "comment" or not child.is_named:
                continue
            if not (before and self._continues(before, child)):
                self.statement(child, depth + 1)
            before = child

    def statement(self, node: Node, depth: int) -> None:
        """Whatever ``node`` is."""
        if depth > _DEPTH or self._reader.is_at_end():
            return
        walk = _STATEMENTS.get(node.type)
        if walk is not None:
            walk(self, node, depth)

    def _apart(self, node: Node, depth: int) -> None:
        """A subshell: what it sets is lost."""
        Walk(self._reader, self._source, self._scope.copy()).block(node, depth)

    def _continues(self, before: Node, node: Node) -> bool:
        """Whether ``node`` is what a comment or a blank behind a backslash cut off the command ``before``."""
        first = node.children[0] if node.type in {"command", "redirected_statement"} and node.children else None
        name = self._text(first.children[0] if first and first.type == "command" and first.children else first)
        between = self._source.text[before.end_byte : node.start_byte]
        found = self._reader.commands
        ending = self._source.text[max(0, before.end_byte - 3) : before.end_byte] + between
        if not (name.startswith("-") and found and "\\" in ending):
            return False
        if not found[-1].cut:
            cut = before.end_byte + max(0, between.find("#"))
            found[-1] = found[-1].cut_on(self._source.line(cut))
        return True

    def _assignment(self, node: Node, depth: int, *, is_exported: bool = False, scope: Scope | None = None) -> None:
        del depth
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        scope = scope or self._scope
        if name is None or name.type != "variable_name":
            return
        given = self._expander.value(value)
        key = self._text(name)
        is_more = any(child.type == "+=" for child in node.children)
        scope.set(key, added(scope.variables.get(key), given) if is_more else given, is_exported=is_exported)

    def _assignments(self, node: Node, depth: int) -> None:
        for child in node.named_children:
            self._assignment(child, depth)

    def _declaration(self, node: Node, depth: int) -> None:
        words = [self._text(child) for child in node.children]
        is_exported = words[0] == "export" or any(word.startswith("-") and "x" in word for word in words[1:])
        for child in node.named_children:
            if child.type == "variable_assignment":
                self._assignment(child, depth, is_exported=is_exported)
            elif child.type == "variable_name" and is_exported:
                self._scope.exported[self._text(child)] = None

    def _unset(self, node: Node, _depth: int) -> None:
        for child in node.named_children:
            self._scope.set(self._text(child), Variable(()))
            self._scope.exported.pop(self._text(child), None)

    def _function(self, node: Node, _depth: int) -> None:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if body is not None:
            function = Function(body, self._source)
            self._scope.functions[self._text(name)] = function
            self._reader.define(self._text(name), function, self._scope)

    def _if(self, node: Node, depth: int) -> None:
        """Every branch by itself; afterwards what they agree on."""
        first, others, has_else = self._scope.copy(), [], False
        walk = Walk(self._reader, self._source, first)
        for child in node.children:
            if child.type in {"elif_clause", "else_clause"}:
                branch = self._scope.copy()
                has_else |= child.type == "else_clause"
                Walk(self._reader, self._source, branch).block(child, depth)
                others.append(branch)
            elif child.is_named:
                walk.statement(child, depth + 1)
        self._scope.merge([first, *others, *([] if has_else else [self._scope.copy()])])

    def _case(self, node: Node, depth: int) -> None:
        branches = [self._scope.copy()]
        for item in node.named_children:
            if item.type == "case_item":
                branch = self._scope.copy()
                Walk(self._reader, self._source, branch).block(item, depth)
                branches.append(branch)
                if self._text(item.child_by_field_name("value")) == "*":
                    branches.pop(0)
        self._scope.merge(branches)

    def _for(self, node: Node, depth: int) -> None:
        """The body once; its variable is known where there is one value for it."""
        name = self._text(node.child_by_field_name("variable"))
        values = [field for value in node.children_by_field_name("value") for field in self._expander.fields(value)]
        is_one = len(values) == 1 and not values[0].is_open
        self._scope.set(name, Variable((values[0],)) if is_one else None)
        self._loop(node, depth)

    def _loop(self, node: Node, depth: int) -> None:
        for child in node.named_children:
            if child.type not in {"variable_name", "word"}:
                self.statement(child, depth + 1)

    def _redirected(self, node: Node, depth: int) -> None:
        body = node.child_by_field_name("body")
        for redirect in node.children_by_field_name("redirect"):
            if redirect.type == "heredoc_redirect":
                self._here_document(body, node, redirect, depth)
        if body is not None:
            self.statement(body, depth + 1)

    def _here_document(self, body: Node | None, node: Node, redirect: Node, depth: int) -> None:
        """Text for a command: a shell runs it, and what a file takes is read as that file."""
        text = next((child for child in redirect.children if child.type == "heredoc_body"), None)
        if text is None or body is None:
            return
        written = self._source.span(text.start_byte, text.end_byte)
        words = self._fields(body) if body.type == "command" else []
        names = {base_name(word.text) for word in words}
        redirects = [*node.children_by_field_name("redirect"), *redirect.children]
        places = [self._text(part.child_by_field_name("destination")) for part in redirects if part.type == _TO_FILE]
        places += [word.text for word in words[1:] if "tee" in names and not word.text.startswith("-")]
        pipelines = [part for part in redirect.children if part.type == "pipeline"]
        places += map(self._text, pipelines)
        if places and names & _WRITERS:
            self._reader.files.append(Written(places[0].strip("\"'"), written))
        elif names & _SHELLS:
            self._reader.run(self._source.inside(written), self._scope.copy())
        for part in pipelines:
            self.statement(part, depth + 1)

    def _fields(self, node: Node) -> list[Traced]:
        """The words of a simple command, without its assignments and redirections."""
        found: list[Traced] = []
        expander = self._expander
        for child in node.named_children:
            if child.type not in _NO_WORDS:
                found += expander.fields(child)
        return found

    def _command(self, node: Node, _depth: int) -> None:
        scope = self._scope
        own = scope.copy()
        assigned = [child for child in node.named_children if child.type == "variable_assignment"]
        for child in assigned:
            self._assignment(child, 0, is_exported=True, scope=own)
        words = self._fields(node)
        if not words:
            for child in assigned:
                self._assignment(child, 0)
            return
        builtin = BUILTINS.get(words[0].text)
        if words[0].text in scope.functions:
            self._reader.call(scope.functions[words[0].text], scope, tuple(words[1:]), words[0].text)
        elif builtin is not None:
            builtin(scope, words[1:])
        else:
            self._start(node, started(words), own)

    def _start(self, node: Node, found: Launched | Scripts | None, scope: Scope) -> None:
        if isinstance(found, Scripts):
            inner = scope.copy()
            for name, value in found.environment:
                inner.set(name, Variable((value,)), is_exported=True)
            for text in found.texts:
                self._reader.run(self._source.inside(text), inner)
        elif found is not None:
            line = self._source.line(node.start_byte)
            environment = (*scope.environment(), *found.environment)
            self._reader.commands.append(command_of(self._source, found, environment, line))

    def _output(self, node: Node, scope: Scope) -> Traced | None:
        """What a command substitution gives, where it only says something; what it starts is read too."""
        return self._reader.deeper(lambda: self._written(node, scope))

    def _written(self, node: Node, scope: Scope) -> Traced | None:
        inner = [child for child in node.named_children if child.type != "comment"]
        walk = Walk(self._reader, self._source, scope.copy())
        if len(inner) == 1 and inner[0].type == "command":
            words = walk._fields(inner[0])
            if words and words[0].text in {"echo", "printf"} and not any(word.is_open for word in words):
                return said(words)
        if len(inner) == 1 and (text := walk.shown(inner[0])) is not None:
            return text
        for child in inner:
            walk.statement(child, 0)
        return None

    def shown(self, node: Node) -> Traced | None:
        """The here-document that ``cat`` gives back."""
        if node.type != "redirected_statement" or self._text(node.child_by_field_name("body")).strip() != "cat":
            return None
        parts = [child for redirect in node.named_children for child in redirect.children]
        body = next((child for child in parts if child.type == "heredoc_body"), None)
        return self._source.span(body.start_byte, body.end_byte) if body else None

    def _error(self, node: Node, depth: int) -> None:
        """What the grammar cannot place: whole statements in it, and loose words line by line."""
        loose: list[Traced] = []
        last = -1
        for child in [*node.children, None]:
            is_word = child is not None and child.type in _WORDS
            if child is None or not is_word or "\n" in self._source.text[last : child.start_byte].replace("\\\n", ""):
                self._start(node, started(loose) if loose else None, self._scope)
                loose = []
            if child is not None and is_word:
                loose += self._expander.fields(child)
                last = child.end_byte
            elif child is not None and child.is_named:
                self.statement(child, depth + 1)


_WORDS: Final = frozenset("word string raw_string concatenation number simple_expansion expansion command_name".split())
_Statement = Callable[[Walk, "Node", int], None]
_STATEMENTS: Final[Mapping[str, _Statement]] = {
    "command": Walk._command,
    "variable_assignment": Walk._assignment,
    "variable_assignments": Walk._assignments,
    "declaration_command": Walk._declaration,
    "unset_command": Walk._unset,
    "function_definition": Walk._function,
    "if_statement": Walk._if,
    "case_statement": Walk._case,
    "for_statement": Walk._for,
    "c_style_for_statement": Walk._loop,
    "while_statement": Walk._loop,
    "redirected_statement": Walk._redirected,
    "subshell": Walk._apart,
    "ERROR": Walk._error,
    **dict.fromkeys(("list", "pipeline", "compound_statement", "do_group", "negated_command", "program"), Walk.block),
}
