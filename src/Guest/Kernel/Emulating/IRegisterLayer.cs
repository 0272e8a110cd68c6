using VmShunt.Guest.Firmware.Machine;

namespace VmShunt.Guest.Emulating;

/// <summary>
/// A layer between a port driver and the registers of its controller, which sees every register access and every interrupt
/// while it is in a <see cref="RegisterPath"/>.
/// </summary>
internal interface IRegisterLayer : IMmio, ICommandPaths
{
    /// <summary>Reads the state that the port has. Called before the layer is put in, while no thread accesses the registers.</summary>
    void Adopt();

    /// <summary>
    /// Called before the layer is taken out, while no command is in flight. When it returns, only
    /// <see cref="HandleInterrupt"/> still calls the driver's interrupt handler.
    /// </summary>
    void Retire();

    /// <summary>Handles an interrupt that the machine injected. On the interrupt processor's thread.</summary>
    void HandleInterrupt();
}
