using Microsoft.Win32.SafeHandles;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Trap.VmExit;

namespace VmShunt.PhysicalMachine;

/// <summary>A processor on the board: its loads and stores go to the bus directly, and <c>vmcall</c> is an invalid opcode.</summary>
internal sealed class Processor(SystemBus bus, InterruptController interrupts) : IProcessor
{
    private ProcessorState _state;

    public ref ProcessorState State => ref _state;

    public ulong Read(ulong address, int size)
    {
        _state.Rdx = address;
        return _state.Rax = bus.Read(address, size);
    }

    public void Write(ulong address, int size, ulong value)
    {
        _state.Rdx = address;
        _state.Rax = value;
        bus.Write(address, size, value);
    }

    public int Halt() => interrupts.Wait();

    public HypercallStatus Call(ulong code, ulong p1 = 0) => throw new InvalidOpcodeException("vmcall");

    public HypercallStatus Call(ulong code, ulong p1, out SafeFileHandle? descriptor) => throw new InvalidOpcodeException("vmcall");
}
