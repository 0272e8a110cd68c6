using VmShunt.Sandbox;

namespace VmShunt.Tests.Sandbox;

/// <summary>Runs a seccomp filter as the kernel would, on one call.</summary>
internal static class FilterMachine
{
    private const uint Amd64 = 0xC000_003E;

    internal static uint Run(IReadOnlyList<FilterInstruction> program, uint number, ulong[] arguments, uint architecture = Amd64)
    {
        uint accumulator = 0;
        for (var at = 0; ; at++)
        {
            var instruction = program[at];
            switch (instruction.Code)
            {
                case FilterInstruction.LoadWord:
                    accumulator = Word(instruction.Operand);
                    break;
                case FilterInstruction.And:
                    accumulator &= instruction.Operand;
                    break;
                case FilterInstruction.JumpIfEqual:
                    at += accumulator == instruction.Operand ? instruction.IfTrue : instruction.IfFalse;
                    break;
                case FilterInstruction.JumpIfAtLeast:
                    at += accumulator >= instruction.Operand ? instruction.IfTrue : instruction.IfFalse;
                    break;
                case FilterInstruction.Return:
                    return instruction.Operand;
                default:
                    throw new InvalidOperationException($"no such instruction: {instruction}");
            }
        }

        // struct seccomp_data: the number, the architecture, the address, six arguments.
        uint Word(uint offset) => offset switch
        {
            0 => number,
            4 => architecture,
            >= 16 when arguments.ElementAtOrDefault((int)(offset - 16) / 8) is var argument => offset % 8 == 0 ? (uint)argument : (uint)(argument >> 32),
            _ => throw new InvalidOperationException($"no word at {offset}"),
        };
    }
}
