"""Statements compiled once and run on the driver's own cursor.

SQLAlchemy's execution costs more than the statement itself, most of all in a process that was just forked from or
forks others: its pages are write-protected and every object that it touches is copied. What is public of the dialect is
used: the compiled text, the order of its parameters, and the processors of the column types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, BindParameter, Delete, Dialect, Float, Insert, Select, Update, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import FunctionElement

from forktask import clock
from forktask.columns import AwareUTC
from forktask.store.failures import StoreRefusedError

Statement = Select[Any] | Insert | Update | Delete
Processor = Callable[[Any], Any] | None
Values = Mapping[str, Any]

WRONG_VALUE = (TypeError, ValueError, AttributeError, OverflowError)
"""What a column type or a driver raises for a value that is none of the column's."""


class database_now(FunctionElement[Any]):  # noqa: N801 - reads as the function it is
    """The clock of the database, as the column type stores it.

    Args:
        microseconds: At most one bind parameter: so long ago; negative: so far ahead.
    """

    type = AwareUTC()
    inherit_cache = True
    name = "database_now"


@compiles(database_now, "postgresql")
def _now_postgresql(element: database_now, compiler: SQLCompiler, **kw: Any) -> str:
    ago = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() - {ago} * interval '1 microsecond')" if ago else "clock_timestamp()"


@compiles(database_now, "mysql")
@compiles(database_now, "mariadb")
def _now_mariadb(element: database_now, compiler: SQLCompiler, **kw: Any) -> str:
    ago = compiler.process(element.clauses, **kw)
    return f"(UTC_TIMESTAMP(6) - INTERVAL {ago} MICROSECOND)" if ago else "UTC_TIMESTAMP(6)"


@compiles(database_now, "sqlite")
def _now_sqlite(element: database_now, compiler: SQLCompiler, **kw: Any) -> str:
    # Text in the format of SQLAlchemy's DateTime, so that it compares with what the columns hold.
    ago = compiler.process(element.clauses, **kw)
    modifier = f", printf('%+.3f seconds', {ago} / -1000000.0)" if ago else ""
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now'{modifier}) || '000')"


AT: Final = database_now(bindparam("microseconds", type_=BigInteger))
"""A moment by the clock of the database, which is not quite ours; its parameter is given by `ago`."""


def ago(moment: datetime) -> int:
    """Return how many microseconds ago a moment of our own clock was; negative: how far ahead it is."""
    return round((clock.now() - moment) / timedelta(microseconds=1))


class Compiled:
    """One statement for one dialect."""

    def __init__(self, statement: Statement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        self._order = compiled.positiontup
        self._can_pipeline = dialect.name == "postgresql"
        self._binds: list[tuple[str, Processor]] = []
        self._constants: dict[str, Any] = {}
        for name in dict.fromkeys(compiled.positiontup or compiled.binds):
            self._add_bind(name, compiled.binds[name], dialect)
        order = self._order or ()
        self._fixed = [self._constants.get(name) for name in order]
        processors_of = dict(self._binds)
        self._places = [
            (number, name, processors_of[name]) for number, name in enumerate(order) if name in processors_of
        ]
        columns = compiled.statement.exported_columns if _returns_rows(statement) else ()  # type: ignore[union-attr]
        processors = [_result_processor(column.type, dialect) for column in columns]
        self._results = [(number, process) for number, process in enumerate(processors) if process is not None]

    def _add_bind(self, name: str, bind: BindParameter[Any], dialect: Dialect) -> None:
        processor = bind.type.dialect_impl(dialect).bind_processor(dialect)
        if bind.required:
            self._binds.append((name, processor))
        else:
            value = bind.effective_value
            self._constants[name] = processor(value) if processor else value

    def parameters(self, values: Values) -> Any:
        """Return `values` as the driver takes them."""
        if self._order is None:
            bound = {name: process(values[name]) if process else values[name] for name, process in self._binds}
            bound.update(self._constants)
            return bound
        found = self._fixed.copy()
        for number, name, process in self._places:
            value = values[name]
            found[number] = process(value) if process and value is not None else value
        return found

    def change(self, cursor: Any, values: Values) -> int:
        """Run it; return how many rows it changed."""
        self._execute(cursor, values)
        return int(cursor.rowcount)

    def change_each(self, cursor: Any, many: Sequence[Values]) -> list[int]:
        """Run it for each of `many`; return how many rows each changed."""
        if len(many) < 2 or not self._can_pipeline:
            return [self.change(cursor, values) for values in many]
        return [cursor.rowcount for _ in self._pipeline(cursor, many)]

    def change_many(self, cursor: Any, many: Sequence[Values]) -> None:
        """Run it for each of `many`, as fast as the driver can, which does not say how many rows each changed."""
        if many:
            self._execute_many(cursor, (self.parameters(values) for values in many))

    def change_all(self, cursor: Any, shared: Values, each: Iterable[Values]) -> None:
        """Run it for many values that have much in common, as fast as the driver can."""
        same = {name: process(shared[name]) if process else shared[name] for name, process in self._binds}
        same.update(self._constants)
        processors = dict(self._binds)
        bound = (
            same | {name: process(value) if (process := processors[name]) else value for name, value in values.items()}
            for values in each
        )
        order = self._order
        self._execute_many(cursor, bound if order is None else ([one[name] for name in order] for one in bound))

    def _execute_many(self, cursor: Any, many: Iterable[Any]) -> None:
        try:
            cursor.executemany(self.sql, list(many))
        except WRONG_VALUE as error:
            raise StoreRefusedError(f"{type(error).__name__}: {error}") from error

    def rows(self, cursor: Any, values: Values) -> list[tuple[Any, ...]]:
        """Run it; return its rows."""
        self._execute(cursor, values)
        return self._fetch(cursor)

    def rows_each(self, cursor: Any, many: Sequence[Values]) -> list[tuple[Any, ...]]:
        """Run it for each of `many`; return the rows of all."""
        if len(many) < 2 or not self._can_pipeline:
            return [row for values in many for row in self.rows(cursor, values)]
        return [row for _ in self._pipeline(cursor, many) for row in self._fetch(cursor)]

    def _execute(self, cursor: Any, values: Values) -> None:
        try:
            cursor.execute(self.sql, self.parameters(values))
        except WRONG_VALUE as error:
            raise StoreRefusedError(f"{type(error).__name__}: {error}") from error

    def _pipeline(self, cursor: Any, many: Sequence[Values]) -> Iterable[None]:
        """Send all to PostgreSQL at once, then stand on the answer to each."""
        try:
            cursor.executemany(self.sql, [self.parameters(values) for values in many], returning=True)
        except WRONG_VALUE as error:
            raise StoreRefusedError(f"{type(error).__name__}: {error}") from error
        more = True
        while more:
            yield
            more = cursor.nextset()

    def _fetch(self, cursor: Any) -> list[tuple[Any, ...]]:
        return [self._converted(row) for row in cursor.fetchall()]

    def _converted(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """Return a row as the column types give it: most columns of most rows are null or need nothing."""
        values = list(row)
        for number, process in self._results:
            if (value := values[number]) is not None:
                values[number] = process(value)
        return tuple(values)


def _returns_rows(statement: Statement) -> bool:
    return isinstance(statement, Select) or bool(statement.exported_columns)


def _result_processor(kind: Any, dialect: Dialect) -> Processor:
    # Drivers return floats as floats; the processor for psycopg would want the code of the column's type.
    implementation = kind.dialect_impl(dialect)
    if isinstance(kind, Float):
        return None
    processor: Processor = implementation.result_processor(dialect, None)
    return processor
