#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""man_pages.py SOURCE CMAKE BUILD: the manual pages say what the C headers say, refer to pages that exist, show the
example that is compiled, are well-formed, and are installed so that man finds each call by its name."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

WORD = re.compile(r'"([^"]*)"|(\S+)')


def without_comments(code):
    return re.sub(r'/\*.*?\*/|//[^\n]*', ' ', code, flags=re.DOTALL)


def normalised(code):
    """With whitespace only where two words meet."""
    return re.sub(r'\s*([^\w\s])\s*', r'\1', ' '.join(code.split()))


class Header:
    """A C header: what it declares."""

    def __init__(self, path):
        self.include = f'peermr/{path.name}'
        code = without_comments(path.read_text())
        self.words = set(re.findall(r'\w+', code))
        calls = re.sub(r'^#(?:.*\\\n)*.*$', '', code, flags=re.MULTILINE)
        self.functions = {}
        for declaration in re.findall(r'\bPEERMR_PUBLIC\b([^;]*);', calls):
            self.functions[re.search(r'\b(peermr_\w+)\s*\(', declaration)[1]] = normalised(declaration)
        self.types = types_in(code)


def types_in(code):
    """Definitions of structures and enumerations, by name."""
    found = re.findall(r'^((?:struct|enum) peermr_\w+) (\{.*?^\});', without_comments(code), re.MULTILINE | re.DOTALL)
    return {name: normalised(body) for name, body in found}


class Page:
    """A page in mdoc(7), as lines of macros with their arguments. Text is the macro ''."""

    def __init__(self, path):
        self.path = path
        self.name, self.section = path.name.rsplit('.', 1)
        self.text = path.read_text()
        self.lines = [self.split(line) for line in self.text.splitlines()]
        self.names = [args[0] for macro, args in self.part('NAME') if macro == 'Nm']

    @staticmethod
    def split(line):
        if not re.match(r'\.[A-Z]', line):
            return '', [line]
        macro, _, rest = line[1:].partition(' ')
        return macro, [quoted or plain for quoted, plain in WORD.findall(rest)]

    def part(self, title):
        inside = False
        for macro, args in self.lines:
            if macro == 'Sh':
                inside = ' '.join(args) == title
            elif inside:
                yield macro, args

    def prototypes(self):
        """Those of the SYNOPSIS, by name."""
        found, result = {}, ''
        for macro, args in self.part('SYNOPSIS'):
            if macro == 'Ft':
                result = ' '.join(args)
            elif macro == 'Fn':
                found[args[0]] = normalised(f'{result} {args[0]}({", ".join(args[1:])})')
            elif macro == 'Fo':
                name, parameters = args[0], []
            elif macro == 'Fa':
                parameters += args
            elif macro == 'Fc':
                found[name] = normalised(f'{result} {name}({", ".join(parameters)})')
        return found

    def references(self):
        """(name, section) of each page that is referred to, also in the middle of a line."""
        for macro, args in self.lines:
            words = [macro, *args]
            for i, word in enumerate(words[:-2]):
                if macro and word == 'Xr':
                    yield words[i + 1], words[i + 2]

    def literals(self):
        """Blocks that are shown as they are, without what roff needs around them, each with the line before."""
        for mark, block in re.findall(r'^([^\n]*)\n\.Bd -literal[^\n]*\n(.*?)^\.Ed$', self.text,
                                      re.MULTILINE | re.DOTALL):
            yield mark, block.replace('\\&', '').replace('\\e', '\\')


def check_calls(headers, pages):
    """Each call has one page, which shows it as it is declared; no page has more."""
    declared = {name: (header, code) for header in headers for name, code in header.functions.items()}
    for name in declared:
        named_by = [page.path.name for page in pages if name in page.names]
        if len(named_by) != 1:
            yield f'{name}(): is named by {len(named_by)} pages: {" ".join(named_by)}'
    for page in pages:
        prototypes = page.prototypes()
        for name in page.names:
            if name not in declared:
                if name != 'peermr':
                    yield f'{page.path.name}: there is no {name}()'
            elif name not in prototypes:
                yield f'{page.path.name}: {name}() is missing in the SYNOPSIS'
        for name, code in prototypes.items():
            if name not in page.names:
                yield f'{page.path.name}: {name}() is in the SYNOPSIS and not in NAME'
            if name in declared and code != declared[name][1]:
                yield f'{page.path.name}: the header says\n  {declared[name][1]}\nand the SYNOPSIS\n  {code}'
        includes = {args[0] for macro, args in page.part('SYNOPSIS') if macro == 'In'}
        needed = {declared[name][0].include for name in page.names if name in declared}
        if prototypes and includes != needed:
            yield f'{page.path.name}: the SYNOPSIS includes {sorted(includes)}, and should {sorted(needed)}'


def check_overview(headers, pages):
    """peermr(3) lists all calls."""
    listed = {name for page in pages if page.name == 'peermr' for name, _ in page.references()}
    for header in headers:
        for name in sorted(set(header.functions) - listed):
            yield f'peermr.3: {name}(3) is not in the list of pages'


def check_words(headers, pages):
    """Functions, types and constants that pages mention exist; types are shown as they are."""
    words = set().union(*(header.words for header in headers))
    types = {name: body for header in headers for name, body in header.types.items()}
    shown = set()
    for page in pages:
        for macro, args in page.lines:
            of_code = ([macro] if macro != 'It' else args[:1]) in (['Fn'], ['Fo'], ['Fa'], ['Vt'], ['Dv'])
            for name in re.findall(r'\b(?:peermr_|PEERMR_)\w+', ' '.join(args)):
                if of_code and name not in words:
                    yield f'{page.path.name}: there is no {name}'
        for _, block in page.literals():
            for name, body in types_in(block).items():
                shown.add(name)
                if body != types.get(name):
                    yield f'{page.path.name}: {name} is not as in the header'
    for name in sorted(set(types) - shown):
        yield f'{name}: no page shows it'


def check_form(pages):
    """A page is called what it says that it is called, and refers to pages that exist."""
    existing = {(name, page.section) for page in pages for name in page.names}
    for page in pages:
        if page.name not in page.names[:1]:
            yield f'{page.path.name}: its first name is {" ".join(page.names[:1])}'
        if ('Dt', [page.name.upper(), page.section]) not in page.lines:
            yield f'{page.path.name}: its .Dt is of another page'
        for name, section in page.references():
            if name.startswith('peermr') and (name, section) not in existing:
                yield f'{page.path.name}: there is no {name}({section})'


def check_examples(source, pages):
    """A block below a comment that says which file it is must be that file, its licence line apart."""
    found = 0
    for page in pages:
        for mark, block in page.literals():
            example = re.fullmatch(r'\.\\" example: (\S+)', mark)
            if example:
                found += 1
                if block != (source / example[1]).read_text().split('\n', 1)[1]:
                    yield f'{page.path.name}: the example is not {example[1]}: copy the file into the block'
    if not found:
        yield 'no page marks an example'


def check_lint(pages):
    mandoc = shutil.which('mandoc')
    if not mandoc:
        print('skipped: mandoc is not installed, so nobody looks at the form of the pages')
        return
    files = [str(page.path) for page in pages]
    lint = subprocess.run([mandoc, '-T', 'lint', '-W', 'warning', *files], capture_output=True, text=True, check=False)
    yield from (lint.stdout + lint.stderr).splitlines()


def check_installed(cmake, build, pages):
    with tempfile.TemporaryDirectory() as folder:
        install = [cmake, '--install', build, '--component', 'man', '--prefix', folder]
        if subprocess.run(install, stdout=subprocess.DEVNULL, check=False).returncode != 0:
            yield f'cannot install: {" ".join(install)}'
            return
        files = {path.name: path.read_text() for path in pathlib.Path(folder).glob('**/man[1-9]/*')}
    for page in pages:
        for name in page.names:
            expected = page.text if name == page.name else f'.so man{page.section}/{page.path.name}\n'
            if files.pop(f'{name}.{page.section}', None) != expected:
                yield f'{name}({page.section}) is not installed as {page.path.name}: is that in the list for CMake?'
    for name in sorted(files):
        yield f'{name} is installed, and no page has that name'


def main():
    source = pathlib.Path(sys.argv[1])
    headers = [Header(path) for path in sorted((source / 'lib/include/peermr').glob('*.h'))]
    pages = [Page(path) for path in sorted((source / 'docs/man').glob('*.[1-9]'))]
    calls = [page for page in pages if page.section == '3']
    complaints = [*check_calls(headers, calls), *check_overview(headers, calls), *check_words(headers, calls),
                  *check_form(pages), *check_examples(source, calls), *check_lint(pages),
                  *check_installed(sys.argv[2], sys.argv[3], pages)]
    print(*dict.fromkeys(complaints), sep='\n', end='\n' if complaints else '')
    functions = sum(len(header.functions) for header in headers)
    print(f'{functions} calls, {len(pages)} pages, {len(complaints)} complaints')
    return 1 if complaints or not functions else 0


if __name__ == '__main__':
    sys.exit(main())
