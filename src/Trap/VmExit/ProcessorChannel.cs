using System.Runtime.InteropServices;
using System.Text;
using VmShunt.Ring.Interop;

namespace VmShunt.Trap.VmExit;

/// <summary>
/// The hypervisor's end of a guest's connection: receives the hello and answers it, then receives exits and resumes them.
/// One thread; any may call <see cref="Shutdown"/>. It checks the form of what a guest sends; the caller checks the values.
/// </summary>
public sealed class ProcessorChannel : IDisposable
{
    private readonly FramedConnection _connection;

    /// <summary>Takes ownership of a connected socket.</summary>
    public ProcessorChannel(UnixConnection connection) => _connection = new FramedConnection(connection);

    /// <summary>The socket's descriptor, to wait on; owned by this object.</summary>
    public SafeHandle Handle => _connection.Handle;

    /// <summary>Receives the first frame.</summary>
    /// <param name="hello">The frame.</param>
    /// <param name="responseTimeout">How long the peer may take to send it; by default no limit.</param>
    /// <returns>False when the peer disconnected before the first byte.</returns>
    /// <exception cref="IOException">The connection failed, the time is over, or the peer speaks another protocol.</exception>
    public bool TryReceiveHello(out Hello hello, TimeSpan responseTimeout = default)
    {
        _connection.SetTimeout(responseTimeout);
        if (!_connection.Receive(out hello)) return false;
        _connection.SetTimeout(TimeSpan.Zero);
        _connection.Descriptors.CloseAll();
        return hello.Magic == Hello.ExpectedMagic && hello.Version == Hello.ExpectedVersion
            ? true
            : throw new IOException($"a client of the hypervisor sent magic {hello.Magic:x}, version {hello.Version}, not this protocol");
    }

    /// <summary>Accepts the peer. A new partition also gets its memory: the RAM, the crash reserve, the dump memory.</summary>
    /// <exception cref="IOException">The peer has disconnected.</exception>
    public void Accept(Welcome welcome, params ReadOnlySpan<SafeHandle> memory)
    {
        welcome.Magic = Hello.ExpectedMagic;
        welcome.Version = Hello.ExpectedVersion;
        welcome.DescriptorCount = (uint)memory.Length;
        _connection.Send(in welcome, memory);
    }

    /// <summary>Refuses the peer, with a reason for its error message.</summary>
    /// <exception cref="IOException">The peer has disconnected.</exception>
    public void Refuse(string why)
    {
        var text = Utf8(why);
        _connection.Send(new Welcome { Magic = Hello.ExpectedMagic, Version = Hello.ExpectedVersion, Refused = 1, TextLength = (uint)text.Length });
        _connection.Send(text);
    }

    /// <summary>Receives the next exit.</summary>
    /// <returns>False when the guest closed the connection.</returns>
    /// <exception cref="IOException">The connection failed, or was closed inside the record.</exception>
    public bool TryReceiveExit(out ExitRecord exit)
    {
        if (!_connection.Receive(out exit)) return false;
        _connection.Descriptors.CloseAll();
        return true;
    }

    /// <summary>Resumes the processor with a new state.</summary>
    /// <param name="exit">The exit.</param>
    /// <param name="state">The new state, before the instruction is skipped.</param>
    /// <param name="vector">The interrupt to inject, or 0.</param>
    /// <param name="descriptor">Sent with the record; stays the caller's.</param>
    /// <exception cref="IOException">The guest has disconnected.</exception>
    public void Resume(in ExitRecord exit, in ProcessorState state, uint vector = 0, SafeHandle? descriptor = null)
    {
        var resume = Resumed(exit, state);
        resume.InstructionLength = TrappedInstruction.Length(exit.Reason, exit.Size);
        resume.Vector = vector;
        resume.DescriptorCount = descriptor is null ? 0u : 1u;
        resume.State.Rip += resume.InstructionLength;
        if (descriptor is null) _connection.Send(in resume);
        else _connection.Send(in resume, [descriptor]);
    }

    /// <summary>Resumes the processor at the same instruction, which it executes again.</summary>
    /// <param name="exit">The exit, of a load or a store.</param>
    /// <param name="state">The new state.</param>
    /// <exception cref="IOException">The guest has disconnected.</exception>
    public void Retry(in ExitRecord exit, in ProcessorState state) => _connection.Send(Resumed(exit, state));

    /// <summary>Raises a machine check in the processor, which stays at its instruction.</summary>
    /// <exception cref="IOException">The guest has disconnected.</exception>
    public void Fault(in ExitRecord exit, FaultCode code, string why) => SendText(exit, ResumeAction.Fault, code, why);

    /// <summary>Stops the processor.</summary>
    /// <exception cref="IOException">The guest has disconnected.</exception>
    public void Stop(in ExitRecord exit, string why) => SendText(exit, ResumeAction.Stop, FaultCode.None, why);

    /// <summary>Receives an observer's query, one byte.</summary>
    /// <returns>False when the observer closed the connection.</returns>
    /// <exception cref="IOException">The connection failed.</exception>
    public bool TryReceiveQuery()
    {
        if (!_connection.Receive(out byte _)) return false;
        _connection.Descriptors.CloseAll();
        return true;
    }

    /// <summary>Answers an observer.</summary>
    /// <exception cref="IOException">The observer has disconnected.</exception>
    public void SendStatistics(HypervisorStatistics statistics)
    {
        var json = statistics.ToJson();
        _connection.Send((uint)json.Length);
        _connection.Send(json);
    }

    /// <summary>Shuts the connection down; a call in progress returns or throws. Any thread.</summary>
    public void Shutdown() => _connection.Shutdown();

    /// <inheritdoc/>
    public void Dispose() => _connection.Dispose();

    private static ResumeRecord Resumed(in ExitRecord exit, in ProcessorState state) =>
        new() { Action = ResumeAction.Resume, Sequence = exit.Sequence, State = state };

    private void SendText(in ExitRecord exit, ResumeAction action, FaultCode code, string why)
    {
        var text = Utf8(why);
        _connection.Send(new ResumeRecord
        {
            Action = action,
            Sequence = exit.Sequence,
            FaultCode = code,
            TextLength = (uint)text.Length,
            State = exit.State,
        });
        _connection.Send(text);
    }

    private static byte[] Utf8(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        return bytes.Length <= ResumeRecord.MaxTextBytes ? bytes : bytes[..ResumeRecord.MaxTextBytes];
    }
}
