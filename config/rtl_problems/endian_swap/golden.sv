module endian_swap (
  input  logic [31:0] data_in,
  input  logic [1:0]  mode,
  output logic [31:0] data_out
);
  logic [31:0] halves;

  assign halves   = mode[1] ? {data_in[15:0], data_in[31:16]} : data_in;
  assign data_out = mode[0] ? {halves[23:16], halves[31:24], halves[7:0], halves[15:8]} : halves;
endmodule
