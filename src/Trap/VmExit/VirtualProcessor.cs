using System.Text;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Trap.VmExit;

/// <summary>
/// The guest's side of a virtual processor. An instruction that traps is a method call here: it sends the processor's state
/// to the hypervisor, blocks the calling thread, and continues with the state of the answer. One thread at a time;
/// <see cref="Dispose"/> may be called from any thread and makes a call in progress throw. Only a failing call allocates.
/// </summary>
public sealed class VirtualProcessor : IDisposable
{
    private readonly FramedConnection _connection;
    private ProcessorState _state;
    private ExitRecord _exit;
    private ResumeRecord _resume;

    internal VirtualProcessor(FramedConnection connection, int index)
    {
        _connection = connection;
        _exit.Processor = (uint)index;
        Index = index;
    }

    /// <summary>The number of this processor in its partition.</summary>
    public int Index { get; }

    /// <summary>The registers, as the last exit left them.</summary>
    public ref ProcessorState State => ref _state;

    /// <summary>Loads from a device address.</summary>
    /// <param name="address">The guest-physical address.</param>
    /// <param name="size">1, 2, 4 or 8 bytes.</param>
    /// <returns>The value, zero-extended; also in RAX.</returns>
    /// <exception cref="MachineCheckException">The device behind the address failed.</exception>
    /// <exception cref="HypervisorLostException">The hypervisor has disconnected.</exception>
    public ulong ReadMmio(ulong address, int size)
    {
        _state.Rdx = address;
        Exit(ExitReason.MmioRead, address, size);
        return _state.Rax;
    }

    /// <summary>Stores to a device address.</summary>
    /// <param name="address">The guest-physical address.</param>
    /// <param name="size">1, 2, 4 or 8 bytes.</param>
    /// <param name="value">The value; its low bytes are stored.</param>
    /// <exception cref="MachineCheckException">The device behind the address failed.</exception>
    /// <exception cref="HypervisorLostException">The hypervisor has disconnected.</exception>
    public void WriteMmio(ulong address, int size, ulong value)
    {
        _state.Rdx = address;
        _state.Rax = value;
        Exit(ExitReason.MmioWrite, address, size);
    }

    /// <summary>Makes a hypercall. Results are in RBX, RCX and RDX of <see cref="State"/>.</summary>
    /// <param name="code">One of <see cref="Hypercall"/>.</param>
    /// <param name="p1">The parameter in RDX.</param>
    /// <param name="p2">The parameter in R8.</param>
    /// <param name="p3">The parameter in R9.</param>
    /// <exception cref="MachineCheckException">The hypervisor could not carry it out.</exception>
    /// <exception cref="HypervisorLostException">The hypervisor has disconnected.</exception>
    public HypercallStatus Invoke(ulong code, ulong p1 = 0, ulong p2 = 0, ulong p3 = 0)
    {
        var status = Call(code, p1, p2, p3);
        _connection.Descriptors.CloseAll();
        return status;
    }

    /// <summary>Makes a hypercall that returns a descriptor.</summary>
    /// <param name="code">One of <see cref="Hypercall"/>.</param>
    /// <param name="p1">The parameter in RDX.</param>
    /// <param name="descriptor">The descriptor, owned by the caller; null when the call did not succeed.</param>
    /// <exception cref="MachineCheckException">The hypervisor could not carry it out.</exception>
    /// <exception cref="HypervisorLostException">The hypervisor has disconnected.</exception>
    public HypercallStatus Invoke(ulong code, ulong p1, out SafeFileHandle? descriptor)
    {
        descriptor = null;
        var status = Call(code, p1, 0, 0);
        if (_resume.DescriptorCount > 0 && !_connection.Descriptors.TryTake(out descriptor))
            throw Lost("it announced a descriptor and sent none");
        _connection.Descriptors.CloseAll();
        return status;
    }

    /// <summary>Blocks until an interrupt is injected; a pending one is injected at once.</summary>
    /// <returns>The vector.</returns>
    /// <exception cref="HypervisorLostException">The hypervisor has disconnected or stopped this processor.</exception>
    public int Halt()
    {
        Exit(ExitReason.Halt, 0, 0);
        return (int)_resume.Vector;
    }

    /// <summary>Closes the connection; a call in progress throws <see cref="HypervisorLostException"/>.</summary>
    public void Dispose()
    {
        _connection.Shutdown();
        _connection.Dispose();
    }

    private HypercallStatus Call(ulong code, ulong p1, ulong p2, ulong p3)
    {
        _state.Rcx = code;
        _state.Rdx = p1;
        _state.R8 = p2;
        _state.R9 = p3;
        Exit(ExitReason.Hypercall, 0, 0);
        return (HypercallStatus)_state.Rax;
    }

    private void Exit(ExitReason reason, ulong address, int size)
    {
        _exit.Reason = reason;
        _exit.Address = address;
        _exit.Size = (uint)size;
        try
        {
            // An instruction that was not skipped is executed again.
            do Exit(reason);
            while (_resume is { Action: ResumeAction.Resume, InstructionLength: 0 });
        }
        catch (Exception e) when (e is ObjectDisposedException or (IOException and not (HypervisorLostException or MachineCheckException)))
        {
            throw Lost(e.Message, e);
        }
    }

    private void Exit(ExitReason reason)
    {
        _exit.Sequence++;
        _exit.State = _state;
        _connection.Send(in _exit);
        if (!_connection.Receive(out _resume)) throw Lost("it closed the connection");
        if (_resume.Sequence != _exit.Sequence) throw Lost($"it answered exit {_resume.Sequence} instead of {_exit.Sequence}");
        if (_resume.Action == ResumeAction.Resume) _state = _resume.State;
        else StopOrFault(reason);
    }

    private void StopOrFault(ExitReason reason)
    {
        var text = ReceiveText(_connection, _resume.TextLength);
        if (_resume.Action == ResumeAction.Fault) throw new MachineCheckException(text, _resume.FaultCode);
        var poweredOff = reason == ExitReason.Hypercall && _exit.State.Rcx == Hypercall.PowerOff;
        if (_resume.Action != ResumeAction.Stop || !poweredOff) throw Lost(text.Length == 0 ? "it stopped this processor" : text);
        _state = _resume.State;
    }

    internal static string ReceiveText(FramedConnection connection, uint length)
    {
        if (length == 0) return "";
        if (length > ResumeRecord.MaxTextBytes) throw Lost($"it announced a text of {length} bytes");
        Span<byte> text = stackalloc byte[(int)length];
        return connection.Receive(text) ? Encoding.UTF8.GetString(text) : throw Lost("it closed the connection");
    }

    private static HypervisorLostException Lost(string why, Exception? cause = null)
    {
        var message = $"the hypervisor is lost: {why}";
        return cause is null ? new HypervisorLostException(message) : new HypervisorLostException(message, cause);
    }
}
