"""All mechanical mutants of some C files in one build: each is a branch of the code, and the environment chooses one when the
program starts, so that nothing is compiled or linked for a mutant.

A program notes the mutants that it reaches in the file BATON_REACHED, one byte each; those that it does not reach cannot make
it fail.
"""

from __future__ import annotations

import dataclasses
from typing import Dict, List

from catalogue import ROOT
from syntax import Mechanical

PREAMBLE = """#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
static int mutant_chosen = -1;
static unsigned char mutant_unheard[%d], *mutant_reached = mutant_unheard;
__attribute__((constructor)) static void mutant_choose(void) {
    const char *number = getenv("BATON_MUTANT"), *path = getenv("BATON_REACHED");
    mutant_chosen = number == NULL ? -1 : atoi(number);
    if (path != NULL) {
        int fd = open(path, O_RDWR);
        mutant_reached = mmap(NULL, sizeof mutant_unheard, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
    }
}
static bool mutant(int number) {
    mutant_reached[number] = 1;
    return number == mutant_chosen;
}
#line 1 "%s"
"""
OUTERMOST_FIRST = ("deleted", "negated", "off by one")  # of those at one place


@dataclasses.dataclass(frozen=True)
class Schema:
    """The mutants are numbered by their places in the list."""

    id: str
    mutants: List[Mechanical]

    @property
    def files(self) -> List[str]:
        return sorted({mutant.file for mutant in self.mutants})

    def apply(self) -> Dict[str, str]:
        return {file: PREAMBLE % (len(self.mutants), file) + self._text(file) for file in self.files}

    def _text(self, file: str) -> str:
        text = (ROOT / file).read_bytes()
        here = [(number, mutant) for number, mutant in enumerate(self.mutants) if mutant.file == file]
        here.sort(key=lambda one: (one[1].outer[0], -one[1].outer[1], OUTERMOST_FIRST.index(one[1].kind)))

        def render(start: int, end: int, place: int) -> str:
            """The bytes [start, end), with the mutants from `place` on that lie in them."""
            parts = []
            while place < len(here) and here[place][1].outer[0] < end:
                number, mutant = here[place]
                place += 1
                if mutant.outer[0] < start or mutant.outer[1] > end:
                    continue  # on the other side of a comparison
                parts += [text[start : mutant.outer[0]].decode(), branch(number, mutant, place)]
                start = mutant.outer[1]
            return "".join(parts) + text[start:end].decode()

        def branch(number: int, mutant: Mechanical, place: int) -> str:
            start, end = mutant.outer
            if mutant.kind == "off by one":
                left, right = render(start, mutant.start, place), render(mutant.end, end, place)
                operator = text[mutant.start : mutant.end].decode()
                return f"(mutant({number}) ? {left}{mutant.new}{right} : {left}{operator}{right})"
            inner = render(start, end, place)
            return f"if (!mutant({number})) {inner}" if mutant.kind == "deleted" else f"(!({inner}) == mutant({number}))"

        return render(0, len(text), 0)
