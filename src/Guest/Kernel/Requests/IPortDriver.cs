using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Requests;

/// <summary>
/// The bottom of a stack. It puts requests on a path and never submits them to the top of a stack. Shunts divert only to
/// port drivers, so a diverted request meets no second shunt.
/// </summary>
internal interface IPortDriver : IBlockDriver;
