using System.CommandLine;
using VmShunt.Guest.Mode;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Commands.Shunt;

/// <summary>The options that say what kind of shunt there is: the guest's own, and those of the command that exchanges it.</summary>
internal sealed class ShuntArguments
{
    private readonly Option<string?> _source;
    private readonly Option<string?> _position;
    private readonly Option<string?> _policy;
    private readonly Option<string?> _primary;

    internal ShuntArguments(bool recursive)
    {
        _source = Choice("--mode-source", ShuntNames.Sources.Select(s => s.Name), "how the shunt knows the mode: it is told, arrives with the enlightened stack, looks for port driver-en, tries it first, or is commanded by it");
        _position = Choice("--shunt-position", ShuntNames.Positions.Select(s => s.Name), "where in the emulating stack the shunt is");
        _policy = Choice("--shunt-policy", ShuntNames.Policies.Select(s => s.Name), "which requests it diverts: all, or primary ones by importance (a list), frequency or effort; auto is all with an enlightened stack, importance without");
        _primary = new Option<string?>("--primary") { HelpName = "LIST", Recursive = recursive, Description = "by importance: the primary classes, of read,write,flush,discard,write-zeroes (default read,write); otherwise those that may become primary" };
        _primary.Validators.Add(r =>
        {
            if (r.GetValue(_primary) is { } text && !RequestTypeList.TryParse(text, out _))
                r.AddError($"--primary {text}: a list of read, write, flush, discard, write-zeroes with commas between them is expected, or all");
        });

        Option<string?> Choice(string name, IEnumerable<string> values, string description)
        {
            var option = new Option<string?>(name) { Recursive = recursive, Description = description };
            option.AcceptOnlyFromAmong([.. values]);
            return option;
        }
    }

    internal void AddTo(Command command)
    {
        command.Add(_source);
        command.Add(_position);
        command.Add(_policy);
        command.Add(_primary);
    }

    /// <summary>What was asked for; what was not is as it is.</summary>
    internal ShuntOptions Read(ParseResult parsed, ShuntOptions now)
    {
        if (parsed.GetValue(_source) is { } source) now = now with { Source = ShuntNames.Sources.First(s => s.Name == source).Source };
        if (parsed.GetValue(_position) is { } position) now = now with { Position = ShuntNames.Positions.First(s => s.Name == position).Position };
        if (parsed.GetValue(_policy) is { } policy) now = now with { Criterion = ShuntNames.Policies.First(s => s.Name == policy).Criterion, Primary = null };
        if (parsed.GetValue(_primary) is { } list && RequestTypeList.TryParse(list, out var classes)) now = now with { Primary = classes };
        return now;
    }
}
