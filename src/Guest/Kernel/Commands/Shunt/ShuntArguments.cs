using System.CommandLine;
using VmShunt.Guest.Mode;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Commands.Shunt;

/// <summary>The options of the shunt, for the guest's command line and for the command that replaces the shunt.</summary>
internal sealed class ShuntArguments
{
    private readonly Option<string?> _source;
    private readonly Option<string?> _position;
    private readonly Option<string?> _policy;
    private readonly Option<string?> _primary;

    internal ShuntArguments(bool recursive)
    {
        _source = Choice("--mode-source", ShuntNames.Sources.Select(s => s.Name), "the shunt's source of the mode: it is notified, it is installed with the enlightened stack, it checks for the enlightened stack's port driver, it tries that first, or that port driver commands it");
        _position = Choice("--shunt-position", ShuntNames.Positions.Select(s => s.Name), "the position of the shunt in the emulating stack");
        _policy = Choice("--shunt-policy", ShuntNames.Policies.Select(s => s.Name), "the requests to divert: all, or the primary ones by importance (a list), frequency or effort; auto: all with an enlightened stack, importance without");
        _primary = new Option<string?>("--primary") { HelpName = "LIST", Recursive = recursive, Description = "the primary request types for importance, from read,write,flush,discard,write-zeroes (default read,write); for other policies, the types that may become primary" };
        _primary.Validators.Add(r =>
        {
            if (r.GetValue(_primary) is { } text && !RequestTypeList.TryParse(text, out _))
                r.AddError($"--primary {text}: a comma-separated list of read, write, flush, discard, write-zeroes is expected, or all");
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

    /// <summary>The options given; all others keep their current values.</summary>
    internal ShuntOptions Read(ParseResult parsed, ShuntOptions now)
    {
        if (parsed.GetValue(_source) is { } source) now = now with { Source = ShuntNames.Sources.First(s => s.Name == source).Source };
        if (parsed.GetValue(_position) is { } position) now = now with { Position = ShuntNames.Positions.First(s => s.Name == position).Position };
        if (parsed.GetValue(_policy) is { } policy) now = now with { Criterion = ShuntNames.Policies.First(s => s.Name == policy).Criterion, Primary = null };
        if (parsed.GetValue(_primary) is { } list && RequestTypeList.TryParse(list, out var types)) now = now with { Primary = types };
        return now;
    }
}
