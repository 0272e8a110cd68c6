namespace VmShunt.BlockDriver.Requests;

/// <summary>
/// The bottom of a stack: it brings requests to a road, never to the top of a stack. All that a shunt or a reverse shunt
/// may divert to, so that a request which was diverted once meets no shunt again.
/// </summary>
internal interface IPortDriver : IBlockDriver;
