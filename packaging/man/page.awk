# Fills the template of a manual page: the line @OPTIONS@ becomes the options of the program's own --help (the file named by
# the variable help), @COMMANDS@ its commands with their options (the files HELP.COMMAND), and @VERSION@ its version.

function escaped(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    gsub(/'/, "\\(aq", text)
    sub(/^\./, "\\\\\\&.", text)
    return text
}

# "  --disk <SPEC> (REQUIRED)  a raw image": the name and its argument, then at least two spaces, then the description.
function split_entry(line,    at) {
    line = substr(line, 3)
    at = match(line, /  +/)
    entry = at ? substr(line, 1, at - 1) : line
    described = at ? substr(line, at + RLENGTH) : ""
    # A default that the text explains depends on the machine that makes the page.
    if (described ~ /by default/) sub(/ \[default: [^]]*\]$/, "", described)
}

# The entries of one section. A command's help repeats the program's options below its own and the help option.
function entries(file, section, only_own,    line, listed) {
    while ((getline line < file) > 0) {
        if (line ~ /^[A-Z][A-Za-z ]*:$/) { listed = line == section ":"; continue }
        if (!listed || line !~ /^  [^ ]/) continue
        if (only_own && line ~ /^  -\?, -h, --help/) { listed = 0; continue }
        split_entry(line)
        print ".TP"
        print ".B " escaped(entry)
        print escaped(described)
    }
    close(file)
}

# A command that is another program has that program's page.
function is_own(file, command,    line, own) {
    while ((getline line < file) > 0)
        if (index(line, "  " program " " command) == 1) own = 1
    close(file)
    return own
}

function commands(    line, listed, name, file) {
    while ((getline line < help) > 0) {
        if (line ~ /^[A-Z][A-Za-z ]*:$/) { listed = line == "Commands:"; continue }
        if (!listed || line !~ /^  [^ ]/) continue
        split_entry(line)
        print ".SS " escaped(entry)
        print escaped(described)
        name = entry
        sub(/ .*/, "", name)
        file = help "." name
        if (!is_own(file, name)) continue
        entries(file, "Arguments", 0)
        entries(file, "Options", 1)
        entries(file, "Commands", 0)
    }
    close(help)
}

$0 == "@OPTIONS@" { entries(help, "Options", 0); next }
$0 == "@COMMANDS@" { commands(); next }
{ gsub(/@VERSION@/, version); print }
