using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace VmShunt.Sandbox;

/// <summary>
/// A seccomp filter (seccomp(2)): listed calls are allowed, the others fail, and those that only an attacker makes kill the process.
/// </summary>
internal static class CallFilter
{
    internal const uint Allow = 0x7FFF_0000, LogCall = 0x7FFC_0000, Fail = 0x0005_0000, KillProcess = 0x8000_0000;

    private const nint SetModeFilter = 1, ForAllThreads = 1;
    private const uint NumberAt = 0, ArchitectureAt = 4, FirstArgumentAt = 16, ArgumentBytes = 8, HalfBytes = 4;

    // A tracer skips a call by this number (ptrace(2)), as strace does to inject an error; there is no such call.
    private const uint Skipped = uint.MaxValue;

    // AUDIT_ARCH_X86_64, and the bit of the x32 ABI in a call's number.
    private const uint Amd64 = 0xC000_003E, X32 = 0x4000_0000;

    /// <summary>The program of a list of calls.</summary>
    /// <param name="rules">What is allowed.</param>
    /// <param name="fatal">The calls that kill.</param>
    /// <param name="onlyLogs">Nothing fails: the kernel logs what would.</param>
    internal static List<FilterInstruction> Compile(IEnumerable<CallRule> rules, IEnumerable<(int Number, string Name)> fatal, bool onlyLogs)
    {
        var program = new List<FilterInstruction>
        {
            new(FilterInstruction.LoadWord, 0, 0, ArchitectureAt),
            new(FilterInstruction.JumpIfEqual, 1, 0, Amd64),
            new(FilterInstruction.Return, 0, 0, KillProcess),
            new(FilterInstruction.LoadWord, 0, 0, NumberAt),
            new(FilterInstruction.JumpIfEqual, 0, 1, Skipped),
            new(FilterInstruction.Return, 0, 0, Allow),
            new(FilterInstruction.JumpIfAtLeast, 0, 1, X32),
            new(FilterInstruction.Return, 0, 0, KillProcess),
        };
        foreach (var rule in rules) Add(program, rule, onlyLogs);
        foreach (var (number, _) in fatal) Case(program, number, [new(FilterInstruction.Return, 0, 0, onlyLogs ? LogCall : KillProcess)]);
        program.Add(new(FilterInstruction.Return, 0, 0, Refusal(onlyLogs)));
        return program;
    }

    /// <summary>Puts every thread of this process, and those that it starts, under a program, for good.</summary>
    /// <exception cref="IOException">The kernel has no seccomp filters, or refused this one.</exception>
    internal static void Install(IReadOnlyList<FilterInstruction> program)
    {
        const int instructionBytes = 8;
        var code = new byte[program.Count * instructionBytes];
        for (var i = 0; i < program.Count; i++)
        {
            var at = code.AsSpan(i * instructionBytes);
            BinaryPrimitives.WriteUInt16LittleEndian(at, program[i].Code);
            (at[2], at[3]) = (program[i].IfTrue, program[i].IfFalse);
            BinaryPrimitives.WriteUInt32LittleEndian(at[4..], program[i].Operand);
        }
        var pinned = GCHandle.Alloc(code, GCHandleType.Pinned);
        try
        {
            // struct sock_fprog: a count, padding, an address.
            var header = new byte[16];
            BinaryPrimitives.WriteUInt16LittleEndian(header, (ushort)program.Count);
            BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(8), pinned.AddrOfPinnedObject());
            var result = LinuxCall.Make(LinuxCall.SecComp, SetModeFilter, ForAllThreads, header, 0);
            if (result > 0) throw new IOException($"--sandbox: thread {result} has another seccomp filter than the rest of the process; start this program without a filter on single threads");
            if (result < 0) throw LinuxCall.Failure("--sandbox: the kernel refused the seccomp filter; use --sandbox off");
        }
        finally
        {
            pinned.Free();
        }
    }

    private static void Add(List<FilterInstruction> program, CallRule rule, bool onlyLogs)
    {
        if (rule.Error is { } error)
        {
            Case(program, rule.Number, [new(FilterInstruction.Return, 0, 0, Fail | (uint)error)]);
            return;
        }
        if (rule.Argument is not { } argument)
        {
            Case(program, rule.Number, [new(FilterInstruction.Return, 0, 0, Allow)]);
            return;
        }
        var refusal = new FilterInstruction(FilterInstruction.Return, 0, 0, Refusal(onlyLogs));
        List<FilterInstruction> body = [];
        if (rule.IsAddress)
        {
            body.Add(new(FilterInstruction.LoadWord, 0, 0, FirstArgumentAt + (uint)argument * ArgumentBytes + HalfBytes));
            body.Add(new(FilterInstruction.JumpIfEqual, 1, 0, 0));
            body.Add(refusal);
        }
        body.Add(new(FilterInstruction.LoadWord, 0, 0, FirstArgumentAt + (uint)argument * ArgumentBytes));
        if (rule.Mask != uint.MaxValue) body.Add(new(FilterInstruction.And, 0, 0, rule.Mask));
        for (var i = 0; i < rule.Values.Count; i++) body.Add(new(FilterInstruction.JumpIfEqual, (byte)(rule.Values.Count - i), 0, rule.Values[i]));
        body.Add(refusal);
        body.Add(new(FilterInstruction.Return, 0, 0, Allow));
        Case(program, rule.Number, body);
    }

    private static void Case(List<FilterInstruction> program, int number, List<FilterInstruction> body)
    {
        program.Add(new(FilterInstruction.JumpIfEqual, 0, (byte)body.Count, (uint)number));
        program.AddRange(body);
    }

    private static uint Refusal(bool onlyLogs) => onlyLogs ? LogCall : Fail | LinuxCall.EPERM;
}
